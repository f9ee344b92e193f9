// What the page asks the server. Every function throws an Error whose message can be shown.
let token = sessionStorage.getItem("minidl-token") || "";

export class NeedsToken extends Error {}

export function setToken(text) {
  token = text;
  sessionStorage.setItem("minidl-token", text);
}

async function request(path, options = {}) {
  const headers = token ? {Authorization: "Bearer " + token} : {};
  let response;
  try {
    response = await fetch(path, {...options, headers});
  } catch (error) {
    throw new Error("The server does not answer.");
  }
  if (response.status === 401) throw new NeedsToken("This server asks for a token.");
  if (response.ok) return response;
  const answer = await response.json().catch(() => ({}));
  throw new Error(answer.error ? sentence(answer.error) : `The server answered with status ${response.status}.`);
}

const sentence = text => text[0].toUpperCase() + text.slice(1) + (text.endsWith(".") ? "" : ".");

export async function models() {
  return (await (await request("/v1/models")).json()).models;
}

export async function ask(model, blob, cam) {
  const query = new URLSearchParams({model, top: 5, cam: cam ? 1 : 0});
  const answer = await (await request("/v1/predict?" + query, {method: "POST", body: blob})).json();
  return {...answer.images[0], milliseconds: answer.milliseconds};
}

export async function network(name) {
  return (await request(`/v1/models/${encodeURIComponent(name)}/network.svg`)).blob();
}
