// The page: takes an image, asks each chosen network, and shows what they say.
import {ask, models, network, setToken, NeedsToken} from "./api.js";
import {Card} from "./card.js";
import {Pad} from "./pad.js";
import {photograph, setUpCamera} from "./camera.js";

const $ = id => document.getElementById(id);
const TINY = 128;                // pixels; smaller images are shown with their pixels, not smoothed
const cards = new Map();         // of the networks that are chosen, by name
let known = [];                  // the networks, as the server lists them
let image = null;                // the image shown: a Blob
let drawing = null;              // the drawing: a Blob, or null for an empty pad
let pad = null;

async function start() {
  let waiting = null;
  $("choose").onclick = () => $("file").click();
  $("drop").onclick = () => $("file").click();
  $("photograph").onclick = () => photograph(take, () => $("camera").click(), complain);
  $("file").onchange = $("camera").onchange = event => { take(event.target.files[0]); event.target.value = "" };
  $("cam").onchange = () => recognise();
  $("token").onsubmit = event => { event.preventDefault(); setToken($("token-text").value); load() };
  $("close-network").onclick = () => $("network").close();
  setUpCamera();
  setUpDropping();
  setUpTabs();
  pad = new Pad($("pad"), $("small"), blob => {
    drawing = blob;
    clearTimeout(waiting);
    waiting = setTimeout(recognise, 60);
  });
  $("clear").onclick = () => { pad.clear(); $("pad").focus() };
  await load();
}

async function load() {
  try {
    known = await models();
    $("token").hidden = true;
    complain("");
  } catch (error) {
    if (error instanceof NeedsToken) {
      complain($("token").hidden ? "" : "The server did not accept this token.");
      $("token").hidden = false;
      $("token-text").focus();
    } else complain(error.message);
    return;
  }
  const drawable = known.some(model => model.drawable);
  $("tabs").hidden = !drawable;
  select(drawable && known.every(model => model.drawable) ? "draw" : "file", false);
  listChoices();
  layOut();
  recognise();                   // nothing yet: each network says what it waits for
}

// Which networks are asked: check boxes, if there are several.
function listChoices() {
  $("choice").hidden = known.length < 2;
  $("choice").querySelectorAll("label").forEach(label => label.remove());
  known.forEach((model, index) => {
    const label = document.createElement("label"), box = document.createElement("input");
    label.className = "switch";
    box.type = "checkbox";
    box.checked = index < 4;
    box.value = model.name;
    box.onchange = () => { layOut(); recognise() };
    label.append(box, " " + model.name);
    $("choice").append(label);
  });
}

function chosen() {
  const boxes = [...$("choice").querySelectorAll("input:checked")].map(box => box.value);
  return known.filter(model => (known.length < 2 || boxes.includes(model.name)) && (mode() === "file" || model.drawable));
}

function layOut() {
  cards.forEach(card => card.element.remove());
  const kept = new Map(cards);
  cards.clear();
  for (const model of chosen()) {
    const card = kept.get(model.name) || new Card(model, showNetwork);
    cards.set(model.name, card);
    $("cards").append(card.element);
  }
  $("cards").classList.toggle("two", cards.size > 1);
}

// Asks all chosen networks. While answers are under way, only the newest image waits for its turn.
function recognise() {
  const blob = mode() === "draw" ? drawing : image;
  const invitation = mode() === "draw" ? "Draw something." : "Give it an image.";
  for (const card of cards.values()) card.invitation = invitation;
  for (const card of cards.values()) card.show(blob, $("cam").checked, ask, result => told(card, result));
}

function told(card, result) {
  if (result instanceof NeedsToken) { $("token").hidden = false; return }
  const best = result.predictions && result.predictions[0];
  $("status").textContent = best ? `${card.model.name}: ${best.class}, ${Math.round(best.probability * 100)} percent`
                                 : `${card.model.name}: ${result.message}`;
}

function take(blob) {
  if (!blob) return;
  complain("");
  select("file", false);
  image = blob;
  const preview = $("preview");
  if (preview.src) URL.revokeObjectURL(preview.src);
  preview.onload = () => preview.classList.toggle("tiny", Math.max(preview.naturalWidth, preview.naturalHeight) < TINY);
  preview.onerror = () => { preview.hidden = true; $("invitation").hidden = false; $("drop").classList.remove("filled") };
  preview.src = URL.createObjectURL(blob);
  preview.alt = "The image: " + (blob.name || "a photo");
  preview.hidden = false;
  $("invitation").hidden = true;
  $("drop").classList.add("filled");
  recognise();
}

function complain(text) {
  $("problem").textContent = text;
  $("problem").hidden = !text;
}

function setUpDropping() {
  let depth = 0;
  const over = on => $("drop").classList.toggle("over", on);
  addEventListener("dragenter", event => { event.preventDefault(); depth++; over(true) });
  addEventListener("dragleave", () => { if (--depth <= 0) { depth = 0; over(false) } });
  addEventListener("dragover", event => event.preventDefault());
  addEventListener("drop", event => {
    event.preventDefault();
    depth = 0;
    over(false);
    const file = event.dataTransfer.files[0];
    file ? take(file) : complain("There is no file in what was dropped.");
  });
  addEventListener("paste", event => {
    const file = [...event.clipboardData.files].find(file => file.type.startsWith("image/"));
    if (file) take(file);
    else if (event.target.tagName !== "INPUT") complain("There is no image in the clipboard.");
  });
}

// Tabs, as screen readers know them: arrow keys choose.
function setUpTabs() {
  const tabs = ["file", "draw"];
  tabs.forEach((name, index) => {
    $("tab-" + name).onclick = () => select(name, true);
    $("tab-" + name).onkeydown = event => {
      if (["ArrowLeft", "ArrowRight"].includes(event.key)) {
        select(tabs[1 - index], true);
        $("tab-" + tabs[1 - index]).focus();
      }
    };
  });
}

const mode = () => $("panel-draw").hidden ? "file" : "draw";

function select(name, again) {
  for (const other of ["file", "draw"]) {
    const on = other === name;
    $("panel-" + other).hidden = !on;
    $("tab-" + other).setAttribute("aria-selected", on);
    $("tab-" + other).tabIndex = on ? 0 : -1;
  }
  layOut();
  if (again) recognise();
}

async function showNetwork(model) {
  $("network-title").textContent = model.name;
  $("network-picture").textContent = "…";
  $("network").showModal();
  try {
    const picture = new Image();
    picture.src = URL.createObjectURL(await network(model.name));
    picture.alt = `The layers of ${model.name}, from the input to the classes`;
    $("network-picture").replaceChildren(picture);
  } catch (error) { $("network-picture").textContent = error.message }
}

start();
