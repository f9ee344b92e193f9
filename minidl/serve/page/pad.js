// A pad to draw on. What is drawn becomes an image of 28 x 28 grey pixels as MNIST's are: the figure is scaled into
// 20 x 20 pixels, and its centre of mass is moved to the centre of the image.
const SIDE = 28, BOX = 20;
const PEN = 1 / 13;              // its width, in sides of the pad
const STEP = 1 / 28;             // of an arrow key

export class Pad {
  // changed(blob) is called after each stroke, and while one is drawn; the blob is null for an empty pad.
  constructor(canvas, small, changed) {
    this.canvas = canvas;
    this.small = small;
    this.changed = changed;
    this.context = canvas.getContext("2d", {willReadFrequently: true});
    this.pen = {x: 0.5, y: 0.5, down: false};
    this.drawn = false;
    this.asked = false;
    canvas.onpointerdown = event => { canvas.setPointerCapture(event.pointerId); this.from = this.at(event); this.line(this.from) };
    canvas.onpointermove = event => {
      if (!canvas.hasPointerCapture(event.pointerId)) return;
      for (const one of event.getCoalescedEvents?.() || [event]) this.line(this.at(one));
    };
    canvas.onkeydown = event => this.key(event);
    canvas.onblur = () => { this.pen.down = false; this.showPen(false) };
    canvas.onfocus = () => this.showPen(canvas.matches(":focus-visible"));
    this.ink = document.createElement("canvas");     // the drawing without the pen's mark
    this.ink.width = this.ink.height = canvas.width;
    this.clear();
  }

  at(event) {
    const box = this.canvas.getBoundingClientRect();
    return {x: (event.clientX - box.left) / box.width, y: (event.clientY - box.top) / box.height};
  }

  line(to) {
    const side = this.ink.width, context = this.ink.getContext("2d", {willReadFrequently: true});
    context.strokeStyle = "#fff";
    context.lineWidth = PEN * side;
    context.lineCap = context.lineJoin = "round";
    context.beginPath();
    context.moveTo(this.from.x * side, this.from.y * side);
    context.lineTo(to.x * side + 0.01, to.y * side);
    context.stroke();
    this.from = to;
    this.drawn = true;
    this.refresh();
  }

  key(event) {
    const moves = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]}, move = moves[event.key];
    if (move) {
      const to = {x: clamp(this.pen.x + move[0] * STEP), y: clamp(this.pen.y + move[1] * STEP)};
      this.from = {x: this.pen.x, y: this.pen.y};
      Object.assign(this.pen, to);
      if (this.pen.down) this.line(to);
    } else if (event.key === " ") {
      this.pen.down = !this.pen.down;
      this.from = {x: this.pen.x, y: this.pen.y};
      if (this.pen.down) this.line(this.from);
    } else if (event.key === "Delete" || event.key === "Backspace") {
      this.clear();
    } else return;
    event.preventDefault();
    this.showPen(true);
  }

  clear() {
    this.ink.getContext("2d", {willReadFrequently: true}).fillRect(0, 0, this.ink.width, this.ink.height);
    this.drawn = false;
    this.pen.down = false;
    this.showPen(false);
    this.refresh();
  }

  showPen(visible) {
    this.pen.visible = visible;
    this.paint();
  }

  paint() {
    const {width} = this.canvas, context = this.context;
    context.drawImage(this.ink, 0, 0);
    if (!this.pen.visible) return;
    context.strokeStyle = this.pen.down ? "#ffb000" : "#8ab4ff";
    context.lineWidth = 3;
    context.beginPath();
    context.arc(this.pen.x * width, this.pen.y * width, PEN * width / 2 + 3, 0, 2 * Math.PI);
    context.stroke();
  }

  // Once a frame at most: what the network sees, and its image for the server.
  refresh() {
    this.paint();
    if (this.asked) return;
    this.asked = true;
    requestAnimationFrame(() => {
      this.asked = false;
      this.reduce();
      if (this.drawn) this.small.toBlob(this.changed);
      else this.changed(null);
    });
  }

  reduce() {
    const context = this.small.getContext("2d", {willReadFrequently: true});
    context.fillRect(0, 0, SIDE, SIDE);
    const figure = measure(this.ink);
    if (!figure) return;
    const {left, top, width, height} = figure, scale = BOX / Math.max(width, height);
    const w = width * scale, h = height * scale;
    const fine = halved(this.ink, left, top, width, height, w);
    const x = SIDE / 2 - (figure.x - left) * scale, y = SIDE / 2 - (figure.y - top) * scale;
    context.imageSmoothingQuality = "high";
    context.drawImage(fine, 0, 0, fine.width, fine.height, x, y, w, h);
  }
}

// The box around what is drawn, and its centre of mass; null if nothing is.
function measure(canvas) {
  const side = canvas.width, pixels = canvas.getContext("2d", {willReadFrequently: true}).getImageData(0, 0, side, side).data;
  let left = side, right = -1, top = side, bottom = -1, mass = 0, mx = 0, my = 0;
  for (let y = 0; y < side; y++) {
    for (let x = 0; x < side; x++) {
      const value = pixels[4 * (y * side + x)];
      if (value < 8) continue;
      if (x < left) left = x;
      if (x > right) right = x;
      if (y < top) top = y;
      if (y > bottom) bottom = y;
      mass += value;
      mx += value * (x + 0.5);
      my += value * (y + 0.5);
    }
  }
  return mass ? {left, top, width: right - left + 1, height: bottom - top + 1, x: mx / mass, y: my / mass} : null;
}

// The part of a canvas, halved until it is less than twice as wide as wanted: so no pixel is skipped.
function halved(source, left, top, width, height, wanted) {
  let part = cut(source, left, top, width, height, width, height);
  while (part.width >= 2 * wanted && part.width > 1 && part.height > 1) {
    const w = Math.ceil(part.width / 2), h = Math.ceil(part.height / 2);
    part = cut(part, 0, 0, part.width, part.height, w, h);
  }
  return part;
}

function cut(source, left, top, width, height, w, h) {
  const canvas = document.createElement("canvas");
  canvas.width = w;
  canvas.height = h;
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(source, left, top, width, height, 0, 0, w, h);
  return canvas;
}

const clamp = value => Math.min(1, Math.max(0, value));
