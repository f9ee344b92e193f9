// What one network says: its best classes as bars, the time, and Grad-CAM.
const BUSY = 1000;               // milliseconds until an answer that is late is said to be

const shape = ([channels, height, width]) => `${width}\u00a0×\u00a0${height}\u00a0${channels === 1 ? "grey" : "colour"}\u00a0pixels`;
const number = new Intl.NumberFormat("en");

export class Card {
  constructor(model, showNetwork) {
    this.model = model;
    this.element = document.getElementById("card").content.firstElementChild.cloneNode(true);
    this.find = name => this.element.querySelector(name);
    this.find("h3").textContent = model.name;
    this.find(".facts").textContent = [model.architecture, number.format(model.parameters) + "\u00a0parameters",
                                       shape(model.input)].filter(Boolean).join(" · ");
    this.find(".draw-network").onclick = () => showNetwork(model);
    this.find(".draw-network").setAttribute("aria-label", `The picture of the network ${model.name}`);
    const range = this.find("input[type=range]");
    range.setAttribute("aria-label", `Opacity of the heat, ${model.name}`);
    range.oninput = () => { this.find(".heat").style.opacity = range.value / 100 };
    this.busy = false;
    this.next = null;
    this.invitation = "";
  }

  // Shows what the network says about an image; of several that come meanwhile, about the newest.
  async show(blob, cam, ask, told) {
    if (this.busy) { this.next = [blob, cam, ask, told]; return }
    if (!blob) { this.empty(); return }
    this.busy = true;
    const late = setTimeout(() => this.element.classList.add("waiting"), BUSY);
    try {
      const result = await ask(this.model.name, blob, cam);
      this.fill(result, cam);
      told(result);
    } catch (error) {
      this.empty();
      this.say(error.message, true);
      told(error);
    }
    clearTimeout(late);
    this.element.classList.remove("waiting");
    this.busy = false;
    if (this.next) {
      const next = this.next;
      this.next = null;
      this.show(...next);
    }
  }

  fill(result, cam) {
    this.say("");
    this.find(".time").textContent = `${result.milliseconds.toFixed(result.milliseconds < 10 ? 1 : 0)} ms`;
    const list = this.find(".bars"), template = document.getElementById("bar").content.firstElementChild;
    while (list.children.length > result.predictions.length) list.lastElementChild.remove();
    while (list.children.length < result.predictions.length) list.append(template.cloneNode(true));
    result.predictions.forEach(({class: name, probability}, index) => {
      const row = list.children[index];
      row.querySelector(".name").textContent = name;
      row.querySelector(".percent").textContent = percent(probability);
      row.querySelector(".fill").style.width = 100 * probability + "%";
    });
    this.heat(result.cam, cam);
  }

  heat(cam, wanted) {
    const figure = this.find(".cam");
    figure.hidden = !cam;
    if (!cam) {
      if (wanted) this.say("This network has no maps for Grad-CAM.");
      return;
    }
    const [, height, width] = this.model.input;
    this.find(".layers").style.setProperty("--shape", `${width} / ${height}`);
    const seen = this.find(".seen-image");
    seen.src = cam.image;
    seen.alt = `What ${this.model.name} saw`;
    seen.classList.toggle("tiny", width < 128);
    this.find(".heat").src = cam.heat;
    this.find("figcaption").textContent = `What speaks for “${cam.class}”: Grad-CAM at the layer ${cam.layer}.`;
  }

  empty() {
    this.find(".bars").replaceChildren();
    this.find(".time").textContent = "";
    this.find(".cam").hidden = true;
    this.say(this.invitation);
  }

  say(text, bad = false) {
    const message = this.find(".message");
    message.textContent = text;
    message.hidden = !text;
    message.classList.toggle("bad", bad);
  }
}

const percent = value => (value > 0.9995 && value < 1 ? "> 99.9" : value < 0.0005 ? "< 0.1" : (100 * value).toFixed(1)) + " %";
