"use strict";
// Shows what the JSON in this page holds: steps, each a list of parts, each a list of strips of calls.

const data = JSON.parse(document.getElementById("data").textContent);
const SHOWN = 3; // of a sample's own numbers
const place = { step: 0, part: 0, call: 0 };
const byId = (id) => document.getElementById(id);
const escaped = (text) => String(text).replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);

// A number as the terminal shows it: three digits, a real minus.
function short(value, digits = 3) {
  if (value === null) return "not finite";
  if (value === 0) return "0";
  const size = Math.abs(value);
  const text = size >= 1e-4 && size < 10 ** digits ? String(Number(value.toPrecision(digits)))
    : value.toExponential(digits - 1).replace(/\.?0+e/, "e");
  return text.replaceAll("-", "−");
}

const factor = (value) => (value < 0 ? `(${short(value)})` : short(value));
const percent = (share) => `${Math.round(100 * share)} %`;
const partNow = () => data.steps[place.step].parts[place.part];
const callsOf = (part) => part.strips.flat();

function histogram(n) {
  const most = Math.max(1, ...n.counts);
  const bars = n.counts.map((count, i) => {
    const height = count ? Math.max(1, (24 * count) / most) : 0;
    return `<rect x="${4 * i}" y="${24 - height}" width="3" height="${height}"/>`;
  });
  const said = n.counts.length ? `from ${short(n.low)} to ${short(n.high)}` : `all ${short(n.low)}`;
  return `<svg class="histogram" viewBox="0 0 96 24" preserveAspectRatio="none" role="img" aria-label="histogram, ${said}">` +
    `<title>${said}</title>${bars.join("")}</svg>`;
}

// ------------------------------------------------------------------------------------------------ the chain

const arrows = { forward: "data →", copy: "copy →", tangent: "tangent →", backward: "← gradients",
  "input gradient": "← ∂s/∂x", curvature: "← curvature", update: "update", add: "add", penalty: "penalty" };

function button(p, call) {
  const result = call.skipped ? null : call.writes[call.result];
  const sums = call.skipped ? `<span class="sums">${escaped(call.skipped)}</span>`
    : result ? `<span class="sums">${escaped(result.name)}: ${short(result.mean)} ± ${short(result.spread)}</span>${histogram(result)}` : "";
  const chosen = place.part === p && place.call === call.number;
  return `<button class="call${call.skipped ? " skipped" : ""}" data-part="${p}" data-call="${call.number}"` +
    ` aria-pressed="${chosen}"><span class="name">${escaped(call.kernel)}</span>${sums}</button>`;
}

// One way up and down: a column for each layer, in the order of the way up, a row for each direction. An update ends
// the way back, and a copy belongs to the way up.
function strip(p, calls) {
  const directions = calls.map((call) => call.direction);
  const rowOf = ({ direction }) => direction === "copy" ? "forward" : direction === "update" && directions.includes("backward") ? "backward" : direction;
  const columnOf = (call) => `${call.network} ${call.layer}`;
  const columns = [...new Map(calls.map((call) => [columnOf(call), call])).values()];
  columns.sort((a, b) => (b.direction === "update") - (a.direction === "update"));
  const rows = [...new Set(calls.map(rowOf))];
  const head = columns.map((c) => `<th scope="col" class="${c.network} ${c.frozen ? "frozen" : ""}">` +
    `${escaped(c.network === "penalty" ? "" : c.network)}<br>${escaped(c.layer)}</th>`);
  const body = rows.map((row) => {
    const cells = columns.map((c) => {
      const own = calls.filter((call) => rowOf(call) === row && columnOf(call) === columnOf(c));
      return `<td class="${c.frozen ? "frozen" : ""}">${own.map((call) => button(p, call)).join("")}</td>`;
    });
    return `<tr><th scope="row">${arrows[row] || escaped(row)}</th>${cells.join("")}</tr>`;
  });
  return `<div class="strip"><table><thead><tr><td></td>${head.join("")}</tr></thead><tbody>${body.join("")}</tbody></table></div>`;
}

function showChain() {
  const scrolled = [...document.querySelectorAll(".strip")].map((s) => s.scrollLeft);
  byId("chain").innerHTML = data.steps[place.step].parts.map((part, p) =>
    `<h2>${part.side === "generator" ? "The generator's step" : "The discriminator's step"}</h2>` +
    `<p class="note">${escaped(part.title)}${part.note ? `\n${escaped(part.note)}` : ""}</p>` +
    part.strips.map((calls) => strip(p, calls)).join("")).join("");
  document.querySelectorAll(".strip").forEach((s, i) => { s.scrollLeft = scrolled[i] || 0; });
}

// ------------------------------------------------------------------------------------------------- one call

function rows(numbers) {
  const cells = (n) => n.cells.slice(0, SHOWN).map((cell) => `<td>${short(cell)}</td>`).join("") +
    "<td></td>".repeat(SHOWN - Math.min(SHOWN, n.cells.length)) + `<td>${n.size > SHOWN ? "…" : ""}</td>`;
  const lines = numbers.map((n) => `<tr><th scope="row">${escaped(n.name)}<small>${n.shape.join("×")}</small></th>${cells(n)}` +
    `<td>${short(n.mean)}</td><td>${short(n.spread)}</td><td>${percent(n.name === "f′" ? n.flat : n.zero)}</td><td>${histogram(n)}</td></tr>`);
  return `<div class="rows" tabindex="0" role="group" aria-label="numbers"><table><thead><tr><th></th>` +
    `<th colspan="${SHOWN + 1}">sample ${data.sample}</th><th>mean</th><th>spread</th><th>zero</th><th></th></tr></thead><tbody>${lines.join("")}</tbody></table></div>`;
}

function worked(call) {
  const { column, terms, count, value } = call.worked;
  const name = call.writes[call.result].name;
  const sum = terms.map(([a, b]) => `${factor(a)}·${factor(b)}`).join(" + ");
  const more = count > terms.length ? ` + … (${count} terms)` : "";
  return `<pre class="worked">${escaped(`${name}[0, ${column}] = ${sum}${more} = ${short(value)}`)}</pre>`;
}

// A gradient, and on hover or focus the difference quotient that certifies it.
function gradient(name, { byHand, text }, i) {
  return `<div><button type="button" class="gradient" aria-describedby="certificate-${i}">` +
    `∂L/∂ ${escaped(name)} = ${short(byHand, 5)}</button>` +
    `<pre class="certificate" id="certificate-${i}">${escaped(text)}</pre></div>`;
}

// The largest gradients of this call's layer that were checked, or of the whole network at its update.
function certificates(call) {
  const own = callsOf(partNow());
  const update = own.slice(call.number).find((c) => c.move);
  if (!update || call.skipped || !/weight|parameters|update|sums/.test(call.kernel)) return "";
  if (own.slice(0, update.number).some((c) => c.move && c.network === update.network)) return "";
  const wanted = Object.entries(update.move.checked).filter(([name]) => call.move || (name.startsWith(`${call.layer}.`) && call.network === update.network));
  if (!wanted.length) return "";
  return `<h3>Checked by differences</h3><p class="hint">The largest gradient${wanted.length > 1 ? " of each tensor" : ""}: hover or focus.</p>` +
    wanted.map(([name, c], i) => gradient(name, c, i)).join("");
}

const move = ({ text }) => `<h3>One weight's move</h3><pre class="move">${escaped(text)}</pre>`;

function showCall() {
  const call = callsOf(partNow())[place.call];
  const kernel = data.kernels[call.kernel];
  const numbers = [...call.reads, ...call.writes];
  byId("call").innerHTML = `<h2>${place.call + 1}. ${escaped(call.layer || call.network)}: ${escaped(call.kernel)}</h2>` +
    `<p class="hint">${escaped(call.heading)}${call.shapes ? ` · ${escaped(call.shapes)}` : ""}${call.calls > 1 ? `, in ${call.calls} calls` : ""}</p>` +
    kernel.math + (kernel.text ? `<p>${escaped(kernel.text)}</p>` : "") +
    (call.skipped ? `<p class="why"><strong>skipped:</strong> ${escaped(call.skipped)}</p>` : rows(numbers)) +
    (call.window ? windowBox() : "") + (call.worked ? worked(call) : "") + (call.move ? move(call.move) : "") + certificates(call) +
    (kernel.derivation ? `<h3>Derivation</h3><div class="derivation">${escaped(kernel.derivation)}</div>` : "");
  if (call.window) openWindow(call.window);
}

// A gather: the image, and the patch under the pointer, or where the arrow keys have led.
function windowBox() {
  return `<h3>The patch under the pointer</h3><p class="hint">Of the first channel; · is padding.</p><div class="window"><canvas tabindex="0" role="img" ` +
    `aria-label="the image; arrow keys move the window"></canvas><pre class="patch" aria-live="polite"></pre></div>`;
}

function openWindow(w) {
  const canvas = document.querySelector("#call .window canvas"), patch = document.querySelector("#call .patch");
  const height = w.image.length / w.width, scale = Math.max(1, Math.floor(224 / Math.max(w.width, height)));
  const low = Math.min(...w.image), high = Math.max(...w.image), g = canvas.getContext("2d"), at = [0, 0];
  canvas.width = w.width * scale; canvas.height = height * scale;
  const pixel = (r, q) => (r >= 0 && r < height && q >= 0 && q < w.width ? w.image[r * w.width + q] : null);
  const draw = () => {
    for (let r = 0; r < height; r++) {
      for (let q = 0; q < w.width; q++) {
        const grey = high > low ? (255 * (pixel(r, q) - low)) / (high - low) : 128;
        g.fillStyle = `rgb(${grey},${grey},${grey})`;
        g.fillRect(q * scale, r * scale, scale, scale);
      }
    }
    const [top, left] = at.map((a, axis) => a * w.strides[axis] - w.before[axis]);
    g.lineWidth = 3; g.strokeStyle = colour("made");
    g.strokeRect(left * scale, top * scale, w.size[1] * scale, w.size[0] * scale);
    const lines = Array.from({ length: w.size[0] }, (_, u) => Array.from({ length: w.size[1] }, (_, v) => {
      const value = pixel(top + u, left + v);
      return (value === null ? "·" : short(value)).padStart(8);
    }).join(""));
    patch.textContent = `P[0, u, v, ${at.join(", ")}]\n${lines.join("\n")}`;
  };
  const go = (i, j) => {
    at[0] = Math.max(0, Math.min(w.positions[0] - 1, i)); at[1] = Math.max(0, Math.min(w.positions[1] - 1, j));
    draw();
  };
  canvas.addEventListener("pointermove", (event) => {
    const box = canvas.getBoundingClientRect();
    const r = ((event.clientY - box.top) / box.height) * height, q = ((event.clientX - box.left) / box.width) * w.width;
    go(Math.round((r + w.before[0] - w.size[0] / 2) / w.strides[0]), Math.round((q + w.before[1] - w.size[1] / 2) / w.strides[1]));
  });
  canvas.addEventListener("keydown", (event) => {
    const way = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    if (way) { event.preventDefault(); go(at[0] + way[0], at[1] + way[1]); }
  });
  draw();
}

function choose(part, call) {
  Object.assign(place, { part, call });
  document.querySelectorAll("button.call").forEach((b) =>
    b.setAttribute("aria-pressed", Number(b.dataset.part) === part && Number(b.dataset.call) === call));
  showCall();
}

// ----------------------------------------------------------------------------------------- what stands at the ends

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

// The plane: what D answers as shades, real and made points, and the arrows −∂L/∂x.
function drawPlane(canvas, plane) {
  const [left, right, bottom, top] = plane.frame, width = 672, height = 504, g = canvas.getContext("2d");
  canvas.width = width; canvas.height = height;
  const x = (v) => ((v - left) / (right - left)) * width, y = (v) => height - ((v - bottom) / (top - bottom)) * height;
  const probabilities = plane.undecided !== null;
  const low = probabilities ? 0 : Math.min(...plane.answers), high = probabilities ? 1 : Math.max(...plane.answers);
  const cols = plane.columns, lines = plane.answers.length / cols;
  plane.answers.forEach((answer, i) => {
    const share = high > low ? (answer - low) / (high - low) : 0.5;
    g.globalAlpha = 0.55 * Math.abs(2 * share - 1);
    g.fillStyle = share > 0.5 ? colour("real") : colour("made");
    const column = i % cols, line = Math.floor(i / cols);
    g.fillRect((column * width) / cols, height - ((line + 1) * height) / lines, width / cols, height / lines);
  });
  g.globalAlpha = 1;
  const dots = (points, name) => {
    for (let i = 0; i < points.length; i += 2) {
      g.beginPath(); g.arc(x(points[i]), y(points[i + 1]), 4, 0, 7); g.fillStyle = colour(name); g.fill();
      g.lineWidth = 1; g.strokeStyle = colour("paper"); g.stroke();
    }
  };
  dots(plane.real || [], "real");
  dots(plane.made || [], "made");
  const made = plane.made || [], gradient = plane.gradient || [];
  let longest = 1e-30;
  for (let i = 0; i < gradient.length; i += 2) longest = Math.max(longest, Math.hypot(gradient[i], gradient[i + 1]));
  g.strokeStyle = colour("ink"); g.lineWidth = 2;
  for (let i = 0; i < gradient.length; i += 2) {
    const dx = (-gradient[i] / longest) * 60, dy = (gradient[i + 1] / longest) * 60, x0 = x(made[i]), y0 = y(made[i + 1]);
    const turn = Math.atan2(dy, dx);
    g.beginPath(); g.moveTo(x0, y0); g.lineTo(x0 + dx, y0 + dy);
    for (const side of [2.6, -2.6]) { g.moveTo(x0 + dx, y0 + dy); g.lineTo(x0 + dx + 7 * Math.cos(turn + side), y0 + dy + 7 * Math.sin(turn + side)); }
    g.stroke();
  }
  return longest;
}

function drawPicture(canvas, values, [channels, height, width], pixel) {
  const g = canvas.getContext("2d"), size = height * width;
  canvas.width = width; canvas.height = height;
  const image = g.createImageData(width, height);
  for (let i = 0; i < size; i++) image.data.set([...pixel(Array.from({ length: channels }, (_, c) => values[c * size + i])), 255], 4 * i);
  g.putImageData(image, 0, 0);
}

function showEnds() {
  const { plane, pictures } = data.steps[place.step], ends = byId("ends");
  if (plane) {
    ends.innerHTML = `<h2>What the discriminator hands to the generator</h2><canvas role="img"></canvas>` +
      `<ul class="key"><li class="real">real, and where D says so</li><li class="made">made, and where D says fake</li><li>→ −∂L/∂x of made points</li></ul><p class="hint" id="longest"></p>`;
    const canvas = ends.querySelector("canvas"), longest = drawPlane(canvas, plane);
    const said = plane.gradient ? `The longest arrow stands for a gradient of ${short(longest)}.` : "The generator plays no step: there is no gradient to hand over.";
    canvas.setAttribute("aria-label", `The plane with D's answers, ${(plane.real || []).length / 2} real and ${(plane.made || []).length / 2} made points. ${said}`);
    byId("longest").textContent = said;
  } else if (pictures) {
    const largest = Math.max(1e-30, ...pictures.samples.flatMap((s) => s.gradient.map(Math.abs)));
    ends.innerHTML = `<h2>What the discriminator hands to the generator</h2><p class="hint">Above what was made, below −∂L/∂x: where the generator is to become brighter (blue) or darker (red); full colour is ${short(largest)}.</p>` +
      `<div class="pictures">${pictures.samples.map((_, i) => `<div><canvas role="img" aria-label="made picture ${i}"></canvas><canvas role="img" aria-label="its −∂L/∂x"></canvas></div>`).join("")}</div>`;
    ends.querySelectorAll(".pictures > div").forEach((div, i) => {
      const [made, back] = div.querySelectorAll("canvas"), s = pictures.samples[i];
      drawPicture(made, s.pixels, pictures.shape, (c) => (c.length === 3 ? c : [c[0], c[0], c[0]]));
      drawPicture(back, s.gradient, pictures.shape, (c) => {
        const v = -c.reduce((a, b) => a + b, 0) / c.length / largest, rest = 255 * (1 - Math.min(1, Math.sqrt(Math.abs(v))));
        return v > 0 ? [rest, rest, 255] : [255, rest, rest];
      });
    });
  } else ends.innerHTML = "";
}

// ---------------------------------------------------------------------------------------------------- the page

function show() {
  const step = data.steps[place.step].step;
  byId("done").textContent = `${step.toLocaleString("en")} step${step === 1 ? "" : "s"} of training`;
  byId("step").setAttribute("aria-valuetext", byId("done").textContent);
  place.call = Math.min(place.call, callsOf(partNow()).length - 1);
  showChain(); showCall(); showEnds();
}

byId("title").textContent = data.title;
byId("step").max = data.steps.length - 1;
byId("marks").innerHTML = data.steps.map((_, i) => `<option value="${i}"></option>`).join("");
byId("step").hidden = data.steps.length < 2;
byId("step").addEventListener("input", (event) => { place.step = Number(event.target.value); show(); });
byId("chain").addEventListener("click", (event) => {
  const chosen = event.target.closest("button.call");
  if (!chosen) return;
  choose(Number(chosen.dataset.part), Number(chosen.dataset.call));
  if (matchMedia("(max-width: 60rem)").matches) byId("call").scrollIntoView();
});
byId("chain").addEventListener("keydown", (event) => {
  const way = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (!way || !event.target.matches("button.call")) return;
  const all = [...document.querySelectorAll("button.call")];
  all.sort((a, b) => a.dataset.part - b.dataset.part || a.dataset.call - b.dataset.call);
  const next = all[all.indexOf(event.target) + way];
  if (next) { event.preventDefault(); next.focus(); choose(Number(next.dataset.part), Number(next.dataset.call)); }
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", showEnds);
show();
