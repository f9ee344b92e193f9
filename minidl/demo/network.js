"use strict";
// A network made by minidl, for one image. A value is {shape, data}: (C, H, W) or (K), with data in that order.

/** The numbers in the program's block of weights. */
function unpacked(text) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const view = new DataView(bytes.buffer);
  return Float32Array.from({ length: bytes.length / 4 }, (_, i) => view.getFloat32(4 * i, true));
}

const sizeOf = (shape) => shape.reduce((a, b) => a * b, 1);

/** out[f, y, x] = bias[f] + the sum over c, i, j of x[c, y*s + i*d - p, x*s + j*d - p] * weight[f, c, i, j] */
function conv2d(step, array, { shape: [, height, width], data }) {
  const [weight, bias] = step.arrays.map(array);
  const [filters, channels] = step.arrays[0].shape;
  const [kh, kw] = step.kernel, [sh, sw] = step.stride, [dh, dw] = step.dilation, [top, left] = step.padding;
  const [oh, ow] = step.size;
  const out = new Float32Array(filters * oh * ow);
  for (let f = 0; f < filters; f++) {
    const first = Math.floor(f / (filters / step.groups)) * channels;
    for (let y = 0; y < oh; y++) for (let x = 0; x < ow; x++) {
      let sum = bias ? bias[f] : 0;
      for (let c = 0; c < channels; c++) for (let i = 0; i < kh; i++) {
        const row = y * sh + i * dh - top;
        if (row < 0 || row >= height) continue;
        for (let j = 0; j < kw; j++) {
          const column = x * sw + j * dw - left;
          if (column < 0 || column >= width) continue;
          sum += data[((first + c) * height + row) * width + column] * weight[((f * channels + c) * kh + i) * kw + j];
        }
      }
      out[(f * oh + y) * ow + x] = sum;
    }
  }
  return rectified(step, { shape: [filters, oh, ow], data: out });
}

/** The largest element of each window; pixels outside the image do not count. */
function max_pool2d(step, array, { shape: [channels, height, width], data }) {
  const [kh, kw] = step.kernel, [sh, sw] = step.stride, [dh, dw] = step.dilation, [top, left] = step.padding;
  const [oh, ow] = step.size;
  const out = new Float32Array(channels * oh * ow).fill(-Infinity);
  for (let c = 0; c < channels; c++) for (let y = 0; y < oh; y++) for (let x = 0; x < ow; x++) {
    const place = (c * oh + y) * ow + x;
    for (let i = 0; i < kh; i++) for (let j = 0; j < kw; j++) {
      const row = y * sh + i * dh - top, column = x * sw + j * dw - left;
      if (row < 0 || row >= height || column < 0 || column >= width) continue;
      out[place] = Math.max(out[place], data[(c * height + row) * width + column]);
    }
  }
  return rectified(step, { shape: [channels, oh, ow], data: out });
}

/** weight @ x + bias */
function linear(step, array, { data }) {
  const [weight, bias] = step.arrays.map(array);
  const [outputs, inputs] = step.arrays[0].shape;
  const out = new Float32Array(outputs);
  for (let o = 0; o < outputs; o++) {
    let sum = bias ? bias[o] : 0;
    for (let i = 0; i < inputs; i++) sum += weight[o * inputs + i] * data[i];
    out[o] = sum;
  }
  return rectified(step, { shape: [outputs], data: out });
}

/** x * factor + shift for each channel, plus a second value if there is one */
function batch_norm(step, array, { shape, data }, added) {
  const factor = array(step.factor), shift = array(step.shift), pixels = data.length / factor.length;
  const out = data.map((v, i) => {
    const c = Math.floor(i / pixels);
    return v * factor[c] + shift[c] + (added ? added.data[i] : 0);
  });
  return rectified(step, { shape, data: out });
}

/** max(x, 0), at most `ceiling`, if the step asks for it */
function rectified({ relu, ceiling }, { shape, data }) {
  const highest = ceiling ?? Infinity;
  return { shape, data: relu ? data.map((v) => Math.min(Math.max(v, 0), highest)) : data };
}

const same = (step, array, x) => x;
const OPERATIONS = {
  conv2d, max_pool2d, linear, batch_norm,
  relu: (step, array, x) => rectified({ relu: true, ceiling: step.ceiling }, x),
  add: (step, array, a, b) => ({ shape: a.shape, data: a.data.map((v, i) => v + b.data[i]) }),
  reshape: (step, array, x) => ({ shape: step.shape, data: x.data }),
  dropout: same, dropout2d: same, passed: same,
};

/** A function from the elements of an image (C, H, W), normalized, to one score for each class. */
function networkOf(program) {
  const weights = unpacked(program.weights);
  const array = (place) => place && weights.subarray(place.at, place.at + sizeOf(place.shape));
  return (image) => {
    const values = [{ shape: program.input, data: image }];
    for (const step of program.steps) {
      values[step.make] = OPERATIONS[step.do](step, array, ...step.read.map((i) => values[i]));
    }
    return values[program.output].data;
  };
}

/** exp(x) / sum(exp(x)) */
function softmax(scores) {
  const largest = Math.max(...scores);
  const exponentials = Array.from(scores, (v) => Math.exp(v - largest));
  const sum = exponentials.reduce((a, b) => a + b, 0);
  return exponentials.map((v) => v / sum);
}

if (typeof module !== "undefined") module.exports = { networkOf, softmax };
