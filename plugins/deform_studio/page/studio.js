// The page of deform studio. Strokes are kept as lines in pixels of the photo; the server draws the mask from them.
"use strict";

const $ = (id) => document.getElementById(id);
const element = (tag, ...inside) => { const made = document.createElement(tag); made.append(...inside); return made; };
const canvas = $("canvas"), pen = canvas.getContext("2d"), layer = new OffscreenCanvas(1, 1), layerPen = layer.getContext("2d");

const state = {
  photo: null, // what the server says of it
  listed: "", // its number in the list
  timeline: [], // {result, strokes}: every change is a further entry, so that undo is a step back
  now: 0,
  pictures: new Map(), // result's number -> image
  details: new Map(), // result's number -> {image, left, top, width, height}: the part in view, if the image is smaller
  faces: new Map(), // result's number -> faces
  shown: null, // what the result's panel is about
  unsaved: false,
  tab: "inpaint",
  tool: "paint",
  view: { scale: 1, x: 0, y: 0 },
  brush: null, // where it is, in pixels of the photo
  stroke: null, // that is being painted
  keysPaint: false, // the stroke is painted by keys
  busy: null, // aborts what is going on
  space: false,
};
const start = { photos: [], folder: "", max_bytes: Infinity };

// --- the server -------------------------------------------------------------------------------------------------

class Refusal extends Error {
  constructor(cause, remedy, exists = false) {
    super(cause);
    Object.assign(this, { remedy, exists });
  }
}

const gone = () => new Refusal("deform studio does not answer", "see whether it still runs in its terminal");

async function ask(path, options = {}) {
  const answer = await fetch(path, options).catch((error) => { throw error.name === "AbortError" ? error : gone(); });
  if (answer.ok) return answer;
  const told = await answer.json().catch(() => ({ error: { cause: `the server says ${answer.status}`, remedy: "reload the page" } }));
  throw new Refusal(told.error.cause, told.error.remedy, told.exists);
}

const post = (path, body) => ask(path, { method: "POST", body: JSON.stringify(body), headers: { "Content-Type": "application/json" } });
const at = (number, what) => `photos/${state.photo.id}/${number}/${what}`;

// Long work: the answer comes in lines, which say how far it is. Ends with the result, or null if it was cancelled.
async function work(path, body) {
  if (state.busy) return null;
  const aborting = new AbortController();
  setBusy(aborting, "Working");
  try {
    const answer = await ask(path, { method: "POST", body: JSON.stringify(body), signal: aborting.signal });
    for await (const line of lines(answer.body)) {
      if (line.error) throw new Refusal(line.error.cause, line.error.remedy);
      if (line.result) return line.result;
      setBusy(aborting, line.words, line.share);
    }
    throw gone();
  } catch (error) {
    if (error.name === "AbortError") return null;
    throw error instanceof Refusal ? error : gone();
  } finally {
    setBusy(null);
  }
}

async function* lines(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (let part; !(part = await reader.read()).done;) {
    const whole = (rest + part.value).split("\n");
    rest = whole.pop();
    for (const line of whole) yield JSON.parse(line);
  }
}

function setBusy(aborting, words = "", share = null) {
  state.busy = aborting;
  $("busy").hidden = !aborting;
  if (aborting) {
    if ($("busy-words").textContent !== words) $("busy-words").textContent = words;
    if (share === null || share === undefined) $("share").removeAttribute("value");
    else $("share").value = share;
  }
  update();
}

// Whatever is done on a click: what goes wrong is shown.
async function attempt(action) {
  $("error").hidden = true;
  try {
    await action();
  } catch (error) {
    $("cause").textContent = `${error.message}.`;
    $("remedy").textContent = error.remedy ? `${error.remedy[0].toUpperCase()}${error.remedy.slice(1)}.` : "";
    $("error").hidden = false;
    if (!(error instanceof Refusal)) throw error;
  }
}

// --- photos -----------------------------------------------------------------------------------------------------

async function open(query, body, words) {
  if (state.busy || !mayLeave()) return;
  const aborting = new AbortController();
  setBusy(aborting, words);
  try {
    const photo = await (await ask(`api/open?${new URLSearchParams(query)}`, { method: "POST", body, signal: aborting.signal })).json();
    if (state.photo) navigator.sendBeacon(`photos/${state.photo.id}/close`);
    const longer = Math.max(photo.width, photo.height);
    state.listed = query.number ?? "";
    $("compare").value = 0;
    Object.assign(state, { photo, timeline: [{ result: { number: 0 }, strokes: [] }], now: 0, unsaved: false, brush: null, stroke: null, keysPaint: false });
    [state.pictures, state.details, state.faces].forEach((map) => map.clear());
    $("size").max = Math.max(100, Math.round(longer / 3));
    $("size").value = Math.max(4, Math.round(longer / 16));
    await load(0);
  } catch (error) {
    if (error.name !== "AbortError") throw error;
    return;
  } finally {
    setBusy(null);
  }
  $("photos").value = state.listed;
  const { name, width, height, format, bits, grey, profile } = state.photo;
  $("about").textContent = [name, `${width} × ${height}`, format, `${bits} bit${grey ? " grey" : ""}`, ...(profile ? ["colour profile"] : [])].join(" · ");
  $("about").title = name;
  document.title = `${name} – deform studio`;
  fit();
  show(null);
  if (state.tab === "faces") await findFaces();
}

function openFile(file) {
  if (file.size > start.max_bytes) throw new Refusal(`${file.name} has more than ${start.max_bytes.toLocaleString()} bytes`, "make it smaller, or raise --max-pixels");
  return open({ name: file.name }, file, `Opening ${file.name}`);
}

const openFirst = ({ files }) => { if (files.length) attempt(() => openFile(files[0])); };
const openListed = (number) => open({ number }, undefined, `Opening ${start.photos[number]}`);
const mayLeave = () => !state.unsaved || confirm("The result is not saved. Open another photo all the same?");

async function load(number) {
  if (!state.pictures.has(number)) state.pictures.set(number, await decoded(at(number, "picture")));
}

async function decoded(address) {
  const image = new Image();
  image.src = address;
  await image.decode().catch(() => { throw gone(); });
  return image;
}

// --- the timeline -----------------------------------------------------------------------------------------------

const present = () => state.timeline[state.now];
const shownNumber = () => present().result.number;

function change(entry) {
  state.timeline.splice(state.now + 1, Infinity, entry);
  state.now += 1;
}

async function go(step) {
  const next = state.now + step;
  if (state.busy || state.stroke || !state.timeline[next]) return;
  const before = shownNumber();
  state.now = next;
  if (shownNumber() !== before) {
    await load(shownNumber());
    show(shownNumber() ? present().result : null);
    if (state.tab === "faces") await findFaces();
  }
  update();
}

// --- looking ----------------------------------------------------------------------------------------------------

const box = () => canvas.getBoundingClientRect();
const toPhoto = (x, y) => [(x - state.view.x) / state.view.scale, (y - state.view.y) / state.view.scale];

function fit() {
  if (!state.photo) return;
  const { width, height } = box(), margin = 12;
  const scale = Math.min((width - 2 * margin) / state.photo.width, (height - 2 * margin) / state.photo.height, 4);
  state.view = { scale, x: (width - state.photo.width * scale) / 2, y: (height - state.photo.height * scale) / 2, fitted: true };
  update();
}

function zoom(factor, x = box().width / 2, y = box().height / 2) {
  if (!state.photo) return;
  const { view } = state, scale = Math.min(Math.max(view.scale * factor, 0.01), 40);
  const [left, top] = toPhoto(x, y);
  state.view = { scale, x: x - left * scale, y: y - top * scale };
  update();
}

function pan(dx, dy) {
  state.view = { ...state.view, x: state.view.x + dx, y: state.view.y + dy, fitted: false };
  update();
}

let drawing = 0;
function update() {
  if (!drawing) drawing = requestAnimationFrame(() => { drawing = 0; draw(); });
}

function draw() {
  const { width, height } = box(), ratio = devicePixelRatio || 1;
  for (const each of [canvas, layer]) {
    if (each.width !== Math.round(width * ratio) || each.height !== Math.round(height * ratio)) {
      each.width = Math.max(1, Math.round(width * ratio));
      each.height = Math.max(1, Math.round(height * ratio));
    }
  }
  drawControls();
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, width, height);
  if (!state.photo) return;
  drawPicture(shownNumber());
  const split = divider();
  if (split !== null) {
    pen.save();
    pen.beginPath();
    pen.rect(0, 0, split, height);
    pen.clip();
    drawPicture(0);
    pen.restore();
    pen.fillStyle = "#fff";
    pen.fillRect(split - 1, 0, 2, height);
    pen.beginPath();
    pen.arc(split, height / 2, 9, 0, 7);
    pen.fill();
    pen.fillStyle = "#0006";
    pen.fillRect(split - 2, height / 2 - 4, 1, 8);
    pen.fillRect(split + 1, height / 2 - 4, 1, 8);
  }
  if (state.tab === "inpaint") {
    drawMask(ratio, width, height);
    drawBrush();
  }
  sharpenSoon();
}

function drawPicture(number) {
  const { scale, x, y } = state.view, { width, height } = state.photo;
  pen.imageSmoothingEnabled = scale < 2;
  pen.imageSmoothingQuality = "high";
  const whole = state.pictures.get(number), detail = state.details.get(number);
  if (whole) pen.drawImage(whole, x, y, width * scale, height * scale);
  if (detail) pen.drawImage(detail.image, x + detail.left * scale, y + detail.top * scale, detail.width * scale, detail.height * scale);
}

function drawMask(ratio, width, height) {
  const strokes = [...present().strokes, ...(state.stroke ? [state.stroke] : [])];
  if (!strokes.length) return;
  const { scale, x, y } = state.view;
  layerPen.setTransform(ratio, 0, 0, ratio, 0, 0);
  layerPen.clearRect(0, 0, width, height);
  layerPen.setTransform(ratio * scale, 0, 0, ratio * scale, ratio * x, ratio * y);
  layerPen.lineCap = layerPen.lineJoin = "round";
  layerPen.strokeStyle = "#e43bd1";
  for (const { radius, erase, points } of strokes) {
    layerPen.globalCompositeOperation = erase ? "destination-out" : "source-over";
    layerPen.lineWidth = 2 * radius;
    layerPen.beginPath();
    layerPen.moveTo(...points[0]);
    for (const point of points) layerPen.lineTo(...point);
    layerPen.stroke();
  }
  layerPen.globalCompositeOperation = "destination-in"; // nothing beside the photo
  layerPen.fillRect(0, 0, state.photo.width, state.photo.height);
  layerPen.globalCompositeOperation = "source-over";
  pen.globalAlpha = 0.6;
  pen.drawImage(layer, 0, 0, width, height);
  pen.globalAlpha = 1;
}

function drawBrush() {
  if (!state.brush || state.tool === "move" || state.space) return;
  const { scale, x, y } = state.view, [left, top] = state.brush;
  for (const [width, colour] of [[3, "#0008"], [1.5, "#fff"]]) {
    pen.lineWidth = width;
    pen.strokeStyle = colour;
    pen.setLineDash(state.tool === "erase" ? [4, 4] : []);
    pen.beginPath();
    pen.arc(x + left * scale, y + top * scale, Math.max(2, (size() / 2) * scale), 0, 7);
    pen.stroke();
  }
  pen.setLineDash([]);
}

// Where the line between before and after is, in pixels of the view; null if there is nothing to compare.
function divider() {
  const share = $("compare").value / 100;
  return !state.photo || !shownNumber() || share === 0 ? null : state.view.x + state.photo.width * state.view.scale * share;
}

// Large photos come smaller than they are; what is in view then comes as it is, once the view rests.
let sharpening = 0;
function sharpenSoon() {
  const image = state.pictures.get(shownNumber());
  if (!image || image.naturalWidth >= state.photo.width) return;
  clearTimeout(sharpening);
  sharpening = setTimeout(sharpen, 250);
}

async function sharpen() {
  const { width, height } = box(), { photo, view } = state, image = state.pictures.get(shownNumber());
  if (!image || view.scale * (devicePixelRatio || 1) <= (image.naturalWidth / photo.width) * 1.05) return;
  const [x0, y0] = toPhoto(0, 0), [x1, y1] = toPhoto(width, height);
  const left = Math.max(0, Math.floor(x0)), top = Math.max(0, Math.floor(y0));
  const part = { left, top, width: Math.min(photo.width, Math.ceil(x1)) - left, height: Math.min(photo.height, Math.ceil(y1)) - top };
  if (part.width <= 0 || part.height <= 0) return;
  for (const number of new Set([shownNumber(), ...(divider() === null ? [] : [0])])) {
    const old = state.details.get(number), key = Object.values(part).join();
    if (old?.key === key) continue;
    const detail = await decoded(at(number, `picture?${new URLSearchParams(part)}`)).catch(() => null);
    if (!detail || photo !== state.photo || view !== state.view) return;
    state.details.set(number, { key, image: detail, ...part });
    update();
  }
}

// --- controls ---------------------------------------------------------------------------------------------------

const size = () => Number($("size").value);

function resize(factor) {
  const was = size();
  $("size").value = factor > 1 ? Math.max(was + 1, Math.round(was * factor)) : Math.min(was - 1, Math.round(was * factor));
  update();
}

function setTool(tool) {
  state.tool = tool;
  document.querySelector(`input[name="tool"][value="${tool}"]`).checked = true;
  update();
}

function drawControls() {
  const entry = present(), painted = entry?.strokes.some(({ erase }) => !erase), idle = entry && !state.busy;
  $("undo").disabled = !idle || state.now === 0;
  $("redo").disabled = !idle || state.now + 1 >= state.timeline.length;
  $("clear").disabled = !idle || !entry.strokes.length;
  $("fill").disabled = !idle || !painted;
  for (const id of ["zoom-in", "zoom-out", "zoom-fit"]) $(id).disabled = !entry;
  for (const button of [...$("found").querySelectorAll("button"), ...$("outlines").children]) button.disabled = !idle;
  $("save").disabled = !idle;
  $("empty").hidden = Boolean(entry) || Boolean(state.busy);
  $("size-shown").textContent = `${size()} px`;
  $("zoom-shown").textContent = entry ? `${Math.round(state.view.scale * 100)} %` : "–";
  $("compare-field").hidden = !entry || !entry.result.number;
  $("view").classList.toggle("move", state.tool === "move" || state.space || state.tab === "faces");
  for (const part of document.querySelectorAll(".paint-only")) part.hidden = state.tab !== "inpaint";
  const what = state.photo && (entry.result.number ? `${state.photo.name} after ${entry.result.number > 1 ? "several changes" : "one change"}` : state.photo.name);
  canvas.setAttribute("aria-label", what ? `${what}, ${entry.strokes.length} strokes painted` : "No photo is open");
  placeOutlines();
}

// --- painting ---------------------------------------------------------------------------------------------------

const pointers = new Map();
let gesture = null; // "paint", "pan", "divide" or "pinch"

const place = (event) => [event.clientX - box().left, event.clientY - box().top];

canvas.addEventListener("pointerdown", (event) => {
  if (!state.photo || state.keysPaint) return;
  canvas.setPointerCapture(event.pointerId);
  pointers.set(event.pointerId, place(event));
  const [x, y] = place(event), split = divider();
  if (pointers.size === 2) {
    state.stroke = null;
    gesture = "pinch";
  } else if (split !== null && Math.abs(x - split) < 12) {
    gesture = "divide";
  } else if (state.tab === "faces" || state.tool === "move" || state.space || event.button === 1) {
    gesture = "pan";
    $("view").classList.add("dragging");
  } else if (event.button === 0) {
    gesture = "paint";
    state.brush = toPhoto(x, y);
    state.stroke = { radius: size() / 2, erase: state.tool === "erase", points: [state.brush] };
  }
  update();
});

canvas.addEventListener("pointermove", (event) => {
  const before = pointers.get(event.pointerId), [x, y] = place(event);
  state.brush = state.photo && toPhoto(x, y);
  if (!before) return update();
  if (gesture === "pinch") pinch(event.pointerId, [x, y]);
  if (gesture === "pan") pan(x - before[0], y - before[1]);
  if (gesture === "divide") $("compare").value = ((x - state.view.x) / (state.photo.width * state.view.scale)) * 100;
  if (gesture === "paint" && state.stroke) {
    for (const each of event.getCoalescedEvents?.() ?? [event]) state.stroke.points.push(toPhoto(...place(each)));
    state.stroke.points.push(state.brush);
  }
  pointers.set(event.pointerId, [x, y]);
  update();
});

function pinch(id, to) {
  const from = pointers.get(id), other = [...pointers].find(([each]) => each !== id)?.[1];
  if (!other) return;
  const spread = (one) => Math.hypot(one[0] - other[0], one[1] - other[1]) || 1;
  zoom(spread(to) / spread(from), (from[0] + other[0]) / 2, (from[1] + other[1]) / 2);
  pan((to[0] - from[0]) / 2, (to[1] - from[1]) / 2);
}

for (const name of ["pointerup", "pointercancel"]) {
  canvas.addEventListener(name, (event) => {
    pointers.delete(event.pointerId);
    if (gesture === "paint" && name === "pointerup") endStroke();
    if (!pointers.size) {
      gesture = state.stroke = null;
      $("view").classList.remove("dragging");
    }
    if (event.pointerType === "touch") state.brush = null;
    update();
  });
}

canvas.addEventListener("pointerleave", () => { if (!pointers.size && !state.keysPaint) { state.brush = null; update(); } });
canvas.addEventListener("wheel", (event) => {
  event.preventDefault();
  zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : event.ctrlKey ? 0.01 : 0.002)), ...place(event));
}, { passive: false });

function endStroke() {
  if (state.stroke) change({ result: present().result, strokes: [...present().strokes, state.stroke] });
  state.stroke = null;
  state.keysPaint = false;
}

// The brush without a mouse: arrows move it, Enter puts it down and lifts it.
function moveBrush(dx, dy) {
  const step = Math.max(1, size() / 4), { width, height } = state.photo;
  const [x, y] = state.brush ?? [width / 2, height / 2];
  state.brush = [Math.min(Math.max(x + dx * step, 0), width), Math.min(Math.max(y + dy * step, 0), height)];
  state.stroke?.points.push(state.brush);
  update();
}

function pressBrush() {
  if (state.keysPaint) endStroke();
  else if (state.tool !== "move") {
    state.brush ??= [state.photo.width / 2, state.photo.height / 2];
    state.stroke = { radius: size() / 2, erase: state.tool === "erase", points: [state.brush] };
    state.keysPaint = true;
  }
  update();
}

// --- removing ---------------------------------------------------------------------------------------------------

async function fill() {
  if ($("fill").disabled) return;
  const { result, strokes } = present();
  const made = await work(at(result.number, "inpaint"), { strokes, grow: Number($("grow").value) || 0 });
  if (made) await goOn({ ...made, masked: true }, strokes);
}

// Strokes that were painted in the meantime are for the next time.
async function goOn(made, used) {
  await load(made.number);
  change({ result: made, strokes: present().strokes.filter((stroke) => !used.includes(stroke)) });
  state.unsaved = true;
  show(made);
}

// --- faces ------------------------------------------------------------------------------------------------------

async function findFaces() {
  if (!state.photo) return listFaces();
  const number = shownNumber(), { photo } = state;
  if (!state.faces.has(number)) {
    const found = await work(at(number, "faces"), {});
    if (found && photo === state.photo) state.faces.set(number, found.faces);
  }
  listFaces();
}

function listFaces() {
  const faces = (state.photo && state.faces.get(shownNumber())) ?? [], searched = state.photo && state.faces.has(shownNumber());
  $("none-found").hidden = !searched || faces.length > 0;
  const button = (index, words) => {
    const made = element("button", words);
    made.addEventListener("click", () => attempt(() => turn(index + 1)));
    return made;
  };
  $("found").replaceChildren(...faces.map((face, index) => element("li", button(index, `${index + 1}: ${face.pose || "pose not known"}`))));
  $("outlines").replaceChildren(...faces.map((face, index) => {
    const made = button(index, element("span", `${index + 1}`));
    made.title = face.pose;
    made.setAttribute("aria-label", `Face ${index + 1}, ${face.pose || "pose not known"}: turn it to the front`);
    return made;
  }));
  update();
}

function placeOutlines() {
  $("outlines").hidden = state.tab !== "faces";
  const faces = (state.photo && state.faces.get(shownNumber())) ?? [], { scale, x, y } = state.view;
  [...$("outlines").children].forEach((outline, index) => {
    const face = faces[index];
    if (!face) return;
    const [left, top, right, bottom] = face.box.map((value) => value * scale);
    Object.assign(outline.style, { left: `${x + left}px`, top: `${y + top}px`, width: `${right - left}px`, height: `${bottom - top}px` });
  });
}

async function turn(face) {
  const number = shownNumber(), pose = state.faces.get(number)[face - 1].pose;
  const chosen = { native: $("native").checked, paste: $("paste").checked, warps: $("warps").checked };
  const made = await work(at(number, "turn"), { face, ...chosen });
  if (!made) return;
  if (chosen.paste) {
    await goOn(made, []);
    await findFaces();
  } else {
    state.unsaved = true;
    show({ ...made, face: `Face ${face}, ${pose}, from the front` });
  }
}

// --- results ----------------------------------------------------------------------------------------------------

// Show what can be saved: a result, or null for none.
function show(made) {
  state.shown = made;
  $("result").hidden = !made;
  $("saved").textContent = "";
  if (!made) return update();
  $("face").hidden = !made.face;
  if (made.face) {
    $("face-picture").src = at(made.number, "picture");
    $("face-picture").alt = $("face-words").textContent = made.face;
  }
  const warps = { warped: "moved pixels", holes: "what was hidden, in white", flow: "where pixels move: colour is the direction" };
  $("warp-pictures").hidden = !made.warps?.length;
  $("warp-pictures").replaceChildren(...(made.warps ?? []).map((name) => {
    const image = new Image();
    image.src = at(made.number, `warps/${name}`);
    image.alt = warps[name];
    return element("figure", image, element("figcaption", warps[name]));
  }));
  $("masks-field").hidden = $("download-mask").hidden = !made.masked;
  $("download-mask").href = at(made.number, "mask");
  $("name").value = made.name;
  tellLines(made);
  update();
  if (made.face) $("result").scrollIntoView({ block: "nearest" });
}

function tellLines(made) {
  const words = made.lines.map((line) => line.split(" ").flatMap((word) => [" ", element("span", word)]).slice(1)); // broken between words
  $("lines").replaceChildren(...words.flatMap((line) => ["\n", ...line]).slice(1));
  const name = encodeURIComponent($("name").value), metadata = $("strip").checked ? "?metadata=strip" : "";
  $("download").href = at(made.number, `file/${name}${metadata}`);
}

async function renamed() {
  const query = new URLSearchParams({ name: $("name").value, ...($("strip").checked && { metadata: "strip" }) });
  tellLines(await (await ask(at(state.shown.number, `lines?${query}`))).json());
}

async function save(overwrite = false) {
  const made = state.shown;
  const wanted = { name: $("name").value, masks: Boolean(made.masked) && $("masks").checked, strip: $("strip").checked, overwrite };
  $("saved").textContent = "";
  let told;
  try {
    told = await (await post(at(made.number, "save"), wanted)).json();
  } catch (error) {
    if (error.exists && confirm(`${error.message}. Overwrite it?`)) return save(true);
    throw error;
  }
  state.unsaved = false;
  $("saved").textContent = `Saved ${told.files.join(" and ")}`;
  tellLines(told);
}

// --- events -----------------------------------------------------------------------------------------------------

function setTab(tab) {
  state.tab = tab;
  for (const each of ["inpaint", "faces"]) {
    $(each).hidden = each !== tab;
    $(`tab-${each}`).setAttribute("aria-selected", String(each === tab));
    $(`tab-${each}`).tabIndex = each === tab ? 0 : -1;
  }
  update();
  if (tab === "faces") return findFaces();
}

const on = (id, action, event = "click") => $(id).addEventListener(event, (happened) => attempt(() => action(happened)));

on("undo", () => go(-1));
on("redo", () => go(1));
on("clear", () => { change({ result: present().result, strokes: [] }); update(); });
on("zoom-in", () => zoom(1.25));
on("zoom-out", () => zoom(0.8));
on("zoom-fit", fit);
on("size", update, "input");
on("compare", update, "input");
on("fill", fill);
on("cancel", () => state.busy?.abort());
on("name", renamed, "change");
on("strip", renamed, "change");
on("saving", (event) => { event.preventDefault(); return save(); }, "submit");
on("download", () => { state.unsaved = false; });
on("copy", async () => {
  await navigator.clipboard.writeText($("lines").textContent);
  $("copy").textContent = "Copied";
  setTimeout(() => { $("copy").textContent = "Copy"; }, 1500);
});
on("photos", () => openListed(Number($("photos").value)).finally(() => { $("photos").value = state.listed; }), "change");
on("file", () => { const [file] = $("file").files; $("file").value = ""; return file && openFile(file); }, "change");
$("dismiss").addEventListener("click", () => { $("error").hidden = true; });
for (const tab of ["inpaint", "faces"]) {
  on(`tab-${tab}`, () => setTab(tab));
  $(`tab-${tab}`).addEventListener("keydown", (event) => {
    if (!["ArrowLeft", "ArrowRight"].includes(event.key)) return;
    const other = tab === "faces" ? "inpaint" : "faces";
    $(`tab-${other}`).focus();
    attempt(() => setTab(other));
  });
}
for (const input of document.querySelectorAll('input[name="tool"]')) input.addEventListener("change", () => setTool(input.value));

addEventListener("dragover", (event) => { event.preventDefault(); $("view").classList.add("over"); });
addEventListener("dragleave", (event) => { if (!event.relatedTarget) $("view").classList.remove("over"); });
addEventListener("drop", (event) => {
  event.preventDefault();
  $("view").classList.remove("over");
  openFirst(event.dataTransfer);
});
addEventListener("paste", (event) => openFirst(event.clipboardData));

const KEYS = {
  "[": () => resize(0.85), "]": () => resize(1.18),
  b: () => setTool("paint"), e: () => setTool("erase"), h: () => setTool("move"),
  "+": () => zoom(1.25), "=": () => zoom(1.25), "-": () => zoom(0.8), "0": fit,
};
const ON_CANVAS = {
  ArrowLeft: () => moveBrush(-1, 0), ArrowRight: () => moveBrush(1, 0), ArrowUp: () => moveBrush(0, -1), ArrowDown: () => moveBrush(0, 1),
  Enter: pressBrush, " ": () => { state.space = true; update(); },
};
addEventListener("keydown", (event) => {
  const typing = event.target.matches("input[type=text], input[type=number], select, textarea"), key = event.key.toLowerCase();
  let action = null;
  if (event.key === "Escape" && state.busy) action = () => state.busy.abort();
  else if (typing || !state.photo || event.altKey) return;
  else if ((event.ctrlKey || event.metaKey) && key === "z") action = () => go(event.shiftKey ? 1 : -1);
  else if ((event.ctrlKey || event.metaKey) && key === "y") action = () => go(1);
  else if ((event.ctrlKey || event.metaKey) && key === "enter" && state.tab === "inpaint") action = fill;
  else if (event.ctrlKey || event.metaKey) return;
  else if (event.target === canvas && (ON_CANVAS[event.key]) && (state.tab === "inpaint" || event.key === " ")) action = ON_CANVAS[event.key];
  else if (event.target === document.body && event.key === " ") action = ON_CANVAS[" "];
  else action = KEYS[key];
  if (!action) return;
  event.preventDefault();
  attempt(action);
});
addEventListener("keyup", (event) => { if (event.key === " ") { state.space = false; update(); } });
addEventListener("blur", () => { state.space = false; });
addEventListener("beforeunload", (event) => { if (state.unsaved) event.preventDefault(); });
addEventListener("pagehide", () => { if (state.photo) navigator.sendBeacon(`photos/${state.photo.id}/close`); });
new ResizeObserver(() => { if (state.view.fitted) fit(); update(); }).observe($("view"));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", update);

attempt(async () => {
  Object.assign(start, await (await ask("api/start")).json());
  $("folder").textContent = start.folder;
  if (start.photos.length > 1) {
    $("photos").append(...start.photos.map((name, number) => new Option(name, number)));
    $("photos-field").hidden = false;
  }
  if (start.photos.length) await openListed(0);
});
