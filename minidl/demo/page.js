"use strict";
// The page: a pad to draw on or an image to open, and bars for the most probable classes.

const program = JSON.parse(document.getElementById("program").textContent);
const network = networkOf(program);
const [channels, height, width] = program.input;
const pad = document.getElementById("pad"), ink = pad.getContext("2d", { willReadFrequently: true });
const bars = document.getElementById("bars"), time = document.getElementById("time");
let pen = null, drawn = false;

function clear() {
  ink.fillStyle = "black";
  ink.fillRect(0, 0, pad.width, pad.height);
  drawn = false;
  bars.replaceChildren();
  time.textContent = channels === 1 ? "Draw on the black square, or open an image." : "Open an image.";
}

/** The pad at the size of the network's input, in RGBA; a drawing is centred as the digits of MNIST are. */
function pixels() {
  const small = document.createElement("canvas");
  [small.width, small.height] = [width, height];
  const context = small.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.fillStyle = "black";
  context.fillRect(0, 0, width, height);
  const box = drawn ? bounds() : null;
  if (box) {
    const scale = Math.min(width, height) * (20 / 28) / Math.max(box.width, box.height);
    context.drawImage(pad, box.left, box.top, box.width, box.height, width / 2 - (box.x - box.left) * scale,
      height / 2 - (box.y - box.top) * scale, box.width * scale, box.height * scale);
  } else {
    context.drawImage(pad, 0, 0, width, height);
  }
  return context.getImageData(0, 0, width, height).data;
}

/** The smallest rectangle around what is drawn, and its centre of mass (x, y); null for an empty pad. */
function bounds() {
  const { data } = ink.getImageData(0, 0, pad.width, pad.height);
  let left = pad.width, right = -1, top = pad.height, bottom = -1, mass = 0, x = 0, y = 0;
  for (let i = 0; i < data.length; i += 4) {
    if (data[i] === 0) continue;
    const column = (i / 4) % pad.width, row = Math.floor(i / 4 / pad.width);
    [left, right] = [Math.min(left, column), Math.max(right, column)];
    [top, bottom] = [Math.min(top, row), Math.max(bottom, row)];
    mass += data[i];
    x += data[i] * (column + 0.5);
    y += data[i] * (row + 0.5);
  }
  return mass ? { left, top, width: right - left + 1, height: bottom - top + 1, x: x / mass, y: y / mass } : null;
}

/** The normalized image (C, H, W). Grey is a weighted sum of the colours, as Pillow computes it. */
function image() {
  const rgba = pixels(), out = new Float32Array(channels * height * width);
  for (let c = 0; c < channels; c++) for (let i = 0; i < height * width; i++) {
    const [r, g, b] = rgba.subarray(4 * i, 4 * i + 3);
    const value = channels === 1 ? Math.floor(0.299 * r + 0.587 * g + 0.114 * b + 0.5) : rgba[4 * i + c];
    out[c * height * width + i] = (value / 255 - program.mean[c]) / program.std[c];
  }
  return out;
}

/** Run the network and show its five most probable classes. */
function recognise() {
  const start = performance.now(), probabilities = softmax(network(image())), took = performance.now() - start;
  const best = probabilities.map((p, i) => [p, program.classes[i]]).sort((a, b) => b[0] - a[0]).slice(0, 5);
  bars.replaceChildren(...best.map(([p, name]) => {
    const row = document.createElement("li"), percent = `${(100 * p).toFixed(1)} %`;
    const label = document.createElement("span"), meter = document.createElement("meter"), number = document.createElement("span");
    [label.textContent, number.textContent, meter.value] = [name, percent, p];
    meter.setAttribute("aria-label", `${name}: ${percent}`);
    row.append(label, meter, number);
    return row;
  }));
  time.textContent = `${took.toFixed(1)} ms`;
}

function place(event) {
  const box = pad.getBoundingClientRect();
  return [(event.clientX - box.left) * pad.width / box.width, (event.clientY - box.top) * pad.height / box.height];
}

function stroke(event) {
  if (!pen) return;
  const next = place(event);
  ink.strokeStyle = "white";
  ink.lineWidth = pad.width / 13;
  ink.lineCap = ink.lineJoin = "round";
  ink.beginPath();
  ink.moveTo(...pen);
  ink.lineTo(...next);
  ink.stroke();
  [pen, drawn] = [next, true];
  recognise();
}

pad.addEventListener("pointerdown", (event) => {
  if (channels !== 1) return;
  pad.setPointerCapture(event.pointerId);
  pen = place(event);
  stroke(event);
});
pad.addEventListener("pointermove", stroke);
pad.addEventListener("pointerup", () => { pen = null; });
pad.addEventListener("pointercancel", () => { pen = null; });
document.getElementById("clear").addEventListener("click", clear);
document.getElementById("file").addEventListener("change", async (event) => {
  const [file] = event.target.files;
  if (!file) return;
  event.target.value = "";                       // so that the same file can be chosen again
  clear();
  try {
    const picture = await createImageBitmap(file), side = Math.min(picture.width, picture.height);
    ink.drawImage(picture, (picture.width - side) / 2, (picture.height - side) / 2, side, side, 0, 0, pad.width, pad.height);
    recognise();
  } catch {
    time.textContent = `${file.name}: this is no image that the browser can read.`;
  }
});
clear();
