// The page of the API's description: reads /openapi.json and lists what is in it.
const api = await (await fetch("/openapi.json")).json();

function element(name, text = "", ...children) {
  const node = document.createElement(name);
  node.append(text, ...children);
  return node;
}

const named = reference => api.components.schemas[reference.split("/").pop()];

// An example of what a schema describes.
function example(schema, depth = 0) {
  if (schema.$ref) return example(named(schema.$ref), depth);
  if ("const" in schema) return schema.const;
  if (schema.enum) return schema.enum[0];
  const type = [schema.type].flat()[0];
  if (type === "object") {
    return Object.fromEntries(Object.entries(schema.properties || {}).map(([name, value]) => [name, example(value, depth + 1)]));
  }
  if (type === "array") return depth > 6 ? [] : [example(schema.items, depth + 1)];
  return {string: "…", integer: 1, number: 0.5, boolean: true}[type] ?? "…";
}

function list(title, rows) {
  const dl = element("dl");
  for (const [name, text] of rows) dl.append(element("dt", name), element("dd", text));
  return rows.length ? [element("h3", title), dl] : [];
}

function code(title, content) {
  const schema = content?.["application/json"]?.schema;
  if (!schema) return [];
  const pre = element("pre", JSON.stringify(example(schema), null, 2));
  pre.tabIndex = 0;
  return [element("h3", title), pre];
}

function operation(path, method, about) {
  const node = element("details"), summary = element("summary"), label = element("span", method.toUpperCase());
  label.className = "method";
  summary.append(label, element("code", path), element("span", about.summary));
  node.append(summary);
  const parameters = (about.parameters || []).map(one => [one.name, `in the ${one.in}. ${one.description}`]);
  const responses = Object.entries(about.responses).map(([status, one]) => [status, one.description]);
  const bodies = Object.keys(about.requestBody?.content || {}).map(kind => [kind, about.requestBody.description || ""]);
  node.append(...list("Parameters", parameters), ...list("Body", bodies), ...code("Body, for example", about.requestBody?.content),
              ...list("Answers", responses), ...code("Answer, for example", about.responses["200"].content));
  return node;
}

document.getElementById("about").textContent = `${api.info.description} Version ${api.info.version}.`;
for (const tag of api.tags) {
  const section = element("section");
  section.append(element("h2", tag.name));
  if (tag.description) section.append(element("p", tag.description));
  for (const [path, methods] of Object.entries(api.paths)) {
    for (const [method, about] of Object.entries(methods)) {
      if (about.tags.includes(tag.name)) section.append(operation(path, method, about));
    }
  }
  document.getElementById("docs").append(section);
}
