"use strict";
// The review page. Texts from the server are only ever set as text; nothing is kept here that the server does not have.

const at = id => document.getElementById(id);
const OPEN_MS = 250; // an item counts as seen after this: a key that was meant for the one before does nothing
const FOUND = 8;
const KEYS = [
  ["Enter", "accept the suggestion"], ["1 – 9", "choose a candidate"], ["/", "search another label"],
  ["E", "none of the labels"], ["U", "unsure: left to other annotators"], ["S", "skip: nothing is saved"], ["C", "comment"], ["Z", "undo, also after a restart"],
  ["← →", "previous, next item"], ["N", "next open item"], ["P", "next picture"],
  ["F", "name a finer class"], ["X", "the item on Wikidata is another place"], ["H", "show what a label means"], ["?", "these keys"],
];

let session = null, labels = [], outline = null, item = null, shownAt = 0, busy = false, details = new Map(), picture = 0;

function make(tag, text, properties) {
  const element = document.createElement(tag);
  if (text !== undefined) element.textContent = text;
  return Object.assign(element, properties || {});
}

async function request(path, body) {
  const options = body === undefined ? {} : { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw new Error("the server does not answer; nothing is saved. Start hgld review again, and open the new address.");
  }
  const answer = await response.json().catch(() => ({ error: `the server failed (${response.status})` }));
  if (!response.ok) throw new Error(answer.error || `the server failed (${response.status})`);
  return answer;
}

function drawing(tag, attributes) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

function banner(text) { at("banner").textContent = text; at("banner").hidden = !text; }

let toastTimer = 0;
function toast(text) {
  at("toast").textContent = text;
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => { at("toast").textContent = ""; }, 2500);
}

function number(value) { return value.toLocaleString("en"); }

const started = performance.now();
function showProgress(progress, canUndo) {
  const done = progress.judged + progress.skipped;
  at("bar").max = progress.items || 1;
  at("bar").value = done;
  const minutes = (performance.now() - started) / 60000;
  const pace = progress.judged > 2 && minutes > 0.5 ? `, ${(progress.judged / minutes).toFixed(1)} a minute` : "";
  const skipped = progress.skipped ? `, ${number(progress.skipped)} skipped` : "";
  at("counts").textContent = `${number(progress.judged)} of ${number(progress.items)} judged${skipped}, ` +
    `${number(progress.images)} images settled${pace}`;
  at("undo").disabled = !canUndo;
}

function load(position) {
  if (!details.has(position)) {
    const waiting = request(`/api/items/${position}`).catch(error => { details.delete(position); throw error; });
    details.set(position, waiting);
  }
  return details.get(position);
}

function prefetch(position) {
  if (position === null || position === undefined) return;
  load(position).then(next => {
    for (const id of next.pictures.slice(0, 7)) new Image().src = `/pictures/${id}/320`;
    if (next.pictures.length) new Image().src = `/pictures/${next.pictures[0]}/1280`;
  }).catch(() => {});
}

async function show(position, fresh) {
  if (position === null || position === undefined) { finished(); return; }
  if (fresh) details.delete(position);
  let next;
  try { next = await load(position); } catch (error) { at("loading").hidden = true; banner(error.message); return; }
  if (item && location.search) history.replaceState(null, "", "/"); // the link has led to the landmark before
  item = next;
  details.delete(position); // its status changes
  at("loading").hidden = true;
  at("main").hidden = false;
  at("done").hidden = true;
  shownAt = performance.now();
  draw();
  prefetch(item.next);
}

function finished() {
  item = null;
  at("loading").hidden = true;
  at("main").hidden = true;
  at("done").hidden = false;
}

function draw() {
  document.title = `${item.name} – Review`;
  at("name").textContent = item.name;
  at("latin").textContent = item.latin;
  at("latin").hidden = !item.latin;
  const page = make("a", item.class ? "Wikidata" : "Commons", { href: item.page, target: "_blank", rel: "noreferrer noopener" });
  const what = item.class ? `class of ${number(item.class.count)} landmarks without a label` : item.landmarks.join(", ");
  at("about").replaceChildren(`${what} · ${number(item.images)} images · `, page);
  at("reason").textContent = item.why + (item.suggestion ? "" : " There is no suggestion.");
  at("earlier").hidden = !item.verdict || item.opinions.length > 0;
  if (item.verdict) {
    const { comment, supercategory, rejected_item: other } = item.verdict;
    const more = [supercategory && `class ${supercategory}`, other && `not ${other}`, comment].filter(Boolean).join("; ");
    at("earlier").textContent = `You said: ${said(item.verdict.label, item.verdict.answer)}${more ? ` (${more})` : ""}, ${item.verdict.decided_on}`;
  }
  drawOpinions();
  drawCandidates();
  drawPictures();
  drawMap();
  at("evidence").replaceChildren(...item.evidence.map(text => make("li", text)));
  rejected = "";
  drawItems();
  drawClass();
  chooseClass(null);
  at("search").value = "";
  at("comment").value = "";
  find("");
  define(item.suggestion);
  at("name").focus({ preventScroll: true });
}

function said(label, answer) { return answer || label.trim() || "no label"; }

function drawOpinions() {
  const rows = item.opinions.map(one => make("li", `${one.annotator}: ${said(one.hierarchical_label, one.answer)}` +
    `${one.comment ? ` (${one.comment})` : ""}, ${one.decided_on}`));
  at("opinions").querySelector("ul").replaceChildren(...rows);
  at("opinions").hidden = !rows.length;
}

function drawMap() {
  at("where").hidden = !item.place;
  if (!item.place) { at("map").replaceChildren(); return; }
  const { latitude, longitude, x, y } = item.place;
  const text = `${Math.abs(latitude).toFixed(2)}° ${latitude < 0 ? "S" : "N"}, ${Math.abs(longitude).toFixed(2)}° ${longitude < 0 ? "W" : "E"}`;
  const map = drawing("svg", { viewBox: outline.view_box, class: "world", role: "img", "aria-label": `world map: ${text}` });
  map.append(drawing("path", { class: "land", d: outline.path }), drawing("circle", { class: "here", cx: x, cy: y, r: 4 }));
  at("map").replaceChildren(map, make("p", text, { className: "soft" }));
}

function drawCandidates() {
  const rows = item.candidates.map((candidate, index) => {
    const suggested = candidate.label.trim() === item.suggestion.trim();
    const button = make("button", undefined, { type: "button", className: suggested ? "suggested" : "" });
    button.append(make("kbd", suggested ? "Enter" : String(index + 1)), make("span", candidate.label.trim(), { className: "label" }),
      make("span", candidate.score), make("span", candidate.why, { className: "why" }));
    button.addEventListener("click", () => judge(candidate.label));
    button.addEventListener("focus", () => define(candidate.label));
    button.addEventListener("mouseenter", () => define(candidate.label));
    const row = make("li");
    row.append(button);
    return row;
  });
  at("candidates").replaceChildren(...rows);
}

function drawPictures() {
  picture = 0;
  const buttons = item.pictures.map((id, index) => {
    const button = make("button", undefined, { type: "button", title: `picture ${index + 1}` });
    button.append(make("img", undefined, { src: `/pictures/${id}/320`, alt: `picture ${index + 1} of ${item.name}`, loading: "lazy" }));
    button.addEventListener("click", () => enlarge(index));
    return button;
  });
  at("thumbnails").replaceChildren(...(buttons.length > 1 ? buttons : []));
  const more = item.images - item.pictures.length;
  at("more").textContent = item.pictures.length ? (more > 0 ? `${number(more)} more image${more === 1 ? "" : "s"}` : "") :
    "None of its images is on this machine.";
  enlarge(0);
}

function enlarge(index) {
  if (!item || !item.pictures.length) { at("large").replaceChildren(); at("credit").textContent = ""; return; }
  picture = (index + item.pictures.length) % item.pictures.length;
  const id = item.pictures[picture];
  const large = make("img", undefined, { src: `/pictures/${id}/1280`, alt: `picture ${picture + 1} of ${item.name}` });
  large.addEventListener("error", () => at("large").replaceChildren(make("p", "This picture cannot be read.", { className: "soft" })));
  at("large").replaceChildren(large);
  at("credit").textContent = item.credits[id] || "";
  [...at("thumbnails").children].forEach((button, n) => button.setAttribute("aria-pressed", String(n === picture)));
}

function drawClass() {
  const shown = item.class;
  at("class").hidden = !shown;
  at("finer").hidden = at("wikidata").hidden = Boolean(shown);
  if (!shown) return;
  const box = one => {
    const row = make("li");
    row.append(one.name, make("span", one.label ? ` ${one.label}` : "", { className: "soft" }));
    return row;
  };
  const row = (title, classes) => {
    const list = make("ul");
    list.append(...classes.map(box));
    list.setAttribute("aria-label", title);
    return list;
  };
  const own = row("this class", [{ name: shown.name, label: "" }]);
  own.className = "own";
  const arrow = () => make("p", "is a subclass of ↑", { className: "soft" });
  at("neighbours").replaceChildren(...(shown.parents.length ? [row("classes above", shown.parents), arrow()] : []), own,
    ...(shown.children.length ? [arrow(), row("classes below", shown.children)] : []));
  at("members-title").textContent = `${number(shown.count)} landmarks get the label of your answer`;
  const left = shown.count - shown.members.length;
  at("members").replaceChildren(...shown.members.map(one => make("li", `${one.name} (${number(one.images)} images)`)),
    ...(left > 0 ? [make("li", `and ${number(left)} more`)] : []));
}

let rejected = "";
function reject(qid) {
  rejected = rejected === qid ? "" : qid;
  [...at("items").querySelectorAll("button")].forEach(button => button.setAttribute("aria-pressed", String(button.value === rejected)));
  toast(rejected ? `${rejected} is another place; now choose the label` : "");
}

let finer = null, classes = [], asked = 0;
function chooseClass(one) {
  finer = one;
  classes = [];
  at("classes").replaceChildren();
  at("supercategory").value = one ? `${one.name} (${one.qid})` : "";
  at("supercategory").setAttribute("aria-expanded", "false");
  at("supercategory").removeAttribute("aria-activedescendant");
}

async function findClasses(text) {
  finer = null;
  const own = ++asked;
  let found;
  try { found = text.trim() ? await request(`/api/classes?text=${encodeURIComponent(text)}`) : []; } catch (error) { banner(error.message); return; }
  if (own !== asked) return; // an answer to what is no longer typed
  classes = found;
  at("classes").replaceChildren(...found.map((one, index) => {
    const row = make("li", one.name, { id: `class-${index}` });
    row.setAttribute("role", "option");
    row.setAttribute("aria-selected", String(index === 0));
    row.append(make("span", ` ${one.qid}${one.label ? `, ${one.label}` : ""}`, { className: "other" }));
    row.addEventListener("click", () => chooseClass(one));
    return row;
  }));
  at("supercategory").setAttribute("aria-expanded", String(found.length > 0));
  markClass(0);
}

let classAt = 0;
function markClass(index) {
  if (!classes.length) { at("supercategory").removeAttribute("aria-activedescendant"); return; }
  classAt = (index + classes.length) % classes.length;
  [...at("classes").children].forEach((row, n) => row.setAttribute("aria-selected", String(n === classAt)));
  at("supercategory").setAttribute("aria-activedescendant", `class-${classAt}`);
}

function drawItems() {
  const blocks = item.items.map(one => {
    const block = make("div");
    const head = make("p");
    head.append(make("a", one.name ? `${one.name} (${one.qid})` : one.qid, { href: one.url, target: "_blank", rel: "noreferrer noopener" }),
      ` matched by ${one.method}, confidence ${one.confidence} `);
    const button = make("button", "another place", { type: "button", value: one.qid });
    button.setAttribute("aria-pressed", "false");
    button.addEventListener("click", () => reject(one.qid));
    head.append(button);
    const list = make("ul");
    for (const found of one.classes) {
      const label = found.label.trim() ? `: ${found.label.trim()}, ${found.outcome}` : found.outcome ? `: ${found.outcome}` : "";
      list.append(make("li", `${found.name || found.qid} (${found.qid})${label}`));
    }
    block.append(head, list);
    return block;
  });
  at("items").replaceChildren(...(blocks.length ? blocks : [make("p", "No item was found.", { className: "soft" })]));
}

function define(label) {
  const known = labels.find(one => one.label.trim() === (label || "").trim());
  if (!known) { at("definition").replaceChildren(); return; }
  const list = make("dl");
  list.append(make("dt", `${known.label.trim()} (${known.nature})`), make("dd", known.definition));
  if (known.classes.length) list.append(make("dd", `Classes: ${known.classes.slice(0, 12).join(", ")}${known.classes.length > 12 ? ", …" : ""}`));
  if (known.examples.length) list.append(make("dd", `For example: ${known.examples.join(", ")}`));
  at("definition").replaceChildren(list);
}

// ---- search

let matches = [], chosen = 0;
function find(text) {
  const wanted = text.trim().toLowerCase();
  const rank = one => {
    const name = one.label.trim().toLowerCase();
    if (name.startsWith(wanted)) return 0;
    if (name.split(/\W+/).some(word => word.startsWith(wanted))) return 1;
    if (one.synonyms.some(word => word.toLowerCase().startsWith(wanted))) return 2;
    if (one.classes.some(word => word.toLowerCase().startsWith(wanted))) return 3;
    return name.includes(wanted) || one.synonyms.some(word => word.toLowerCase().includes(wanted)) ? 4 : 9;
  };
  matches = wanted ? labels.map(one => [rank(one), one]).filter(pair => pair[0] < 9).sort((a, b) => a[0] - b[0]).slice(0, FOUND).map(pair => pair[1]) : [];
  chosen = 0;
  const rows = matches.map((one, index) => {
    const other = [...one.synonyms, ...one.classes].find(word => word.toLowerCase().includes(wanted));
    const row = make("li", one.label.trim(), { id: `found-${index}`, role: "option" });
    row.setAttribute("role", "option");
    if (other && !one.label.toLowerCase().includes(wanted)) row.append(make("span", ` – ${other}`, { className: "other" }));
    row.addEventListener("click", () => judge(one.label));
    return row;
  });
  at("found").replaceChildren(...rows);
  at("search").setAttribute("aria-expanded", String(rows.length > 0));
  choose(0);
}

function choose(index) {
  if (!matches.length) { at("search").removeAttribute("aria-activedescendant"); return; }
  chosen = (index + matches.length) % matches.length;
  [...at("found").children].forEach((row, n) => row.setAttribute("aria-selected", String(n === chosen)));
  at("search").setAttribute("aria-activedescendant", `found-${chosen}`);
  define(matches[chosen].label);
}

// ---- answers

function seen() { return item && !busy && performance.now() - shownAt >= OPEN_MS; }

async function act(path, body, then) {
  if (busy) return;
  busy = true;
  try {
    const answer = await request(path, body);
    banner("");
    toast(answer.message);
    showProgress(answer.progress, answer.can_undo);
    await then(answer);
  } catch (error) {
    banner(error.message);
  } finally {
    busy = false;
  }
}

function judge(label) {
  if (!seen()) return;
  if (at("supercategory").value.trim() && !finer) { banner("Choose the finer class from the list, or clear its field."); at("supercategory").focus(); return; }
  const more = label && finer ? { supercategory: finer.qid } : {};
  const body = { category: item.category, label, comment: at("comment").value, rejected_item: rejected, ...more };
  act(`/api/items/${item.position}/verdict`, body, answer => show(answer.next));
}

function unsure() {
  if (!seen()) return;
  const body = { category: item.category, label: "", comment: at("comment").value, unsure: true };
  act(`/api/items/${item.position}/verdict`, body, answer => show(answer.next));
}

function accept() {
  if (!seen()) return;
  if (item.suggestion) judge(item.suggestion); else toast("There is no suggestion to accept.");
}

function skip() {
  if (seen()) act(`/api/items/${item.position}/skip`, { category: item.category }, answer => show(answer.next));
}

function undo() {
  act("/api/undo", {}, answer => (answer.position === null ? undefined : show(answer.position, true)));
}

function move(step) {
  if (!session || !session.progress.items) return;
  const count = session.progress.items;
  const from = item ? item.position : step > 0 ? -1 : count;
  const to = from + step;
  if (to >= 0 && to < count) show(to, true);
}

// ---- keys

document.addEventListener("keydown", event => {
  if (at("help").open || event.ctrlKey || event.metaKey || event.altKey) return;
  const field = event.target instanceof HTMLInputElement ? event.target.id : "";
  if (event.key === "Escape") { at("name").focus(); return; }
  if (field === "search") {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") { event.preventDefault(); choose(chosen + (event.key === "ArrowDown" ? 1 : -1)); }
    if (event.key === "Enter" && !event.repeat && matches.length) { event.preventDefault(); judge(matches[chosen].label); }
    return;
  }
  if (field === "supercategory") {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") { event.preventDefault(); markClass(classAt + (event.key === "ArrowDown" ? 1 : -1)); }
    if (event.key === "Enter") { event.preventDefault(); if (classes.length) chooseClass(classes[classAt]); at("name").focus(); }
    return;
  }
  if (field === "comment") {
    if (event.key === "Enter") { event.preventDefault(); at("name").focus(); }
    return;
  }
  if (event.repeat && !event.key.startsWith("Arrow")) return;
  const onButton = event.target instanceof HTMLButtonElement || event.target instanceof HTMLAnchorElement || event.target.tagName === "SUMMARY";
  if (onButton && (event.key === "Enter" || event.key === " ")) return; // the button itself
  const actions = {
    Enter: accept, "/": () => at("search").focus(), e: () => judge(""), s: skip, u: unsure, z: undo, c: () => at("comment").focus(),
    f: () => item && !item.class && at("supercategory").focus(), x: () => item && item.items.length && reject(item.items[0].qid),
    ArrowLeft: () => move(-1), ArrowRight: () => move(1), n: () => item && show(item.next), p: () => enlarge(picture + 1),
    h: () => at("definition").scrollIntoView({ block: "center" }), "?": () => at("help").showModal(),
  };
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const digit = /^[1-9]$/.test(key) ? Number(key) : 0;
  if (digit) { if (item && item.candidates[digit - 1]) judge(item.candidates[digit - 1].label); }
  else if (actions[key]) { event.preventDefault(); actions[key](); }
});

at("search").addEventListener("input", event => find(event.target.value));
at("supercategory").addEventListener("input", event => findClasses(event.target.value));
at("none").addEventListener("click", () => judge(""));
at("unsure").addEventListener("click", unsure);
at("skip").addEventListener("click", skip);
at("undo").addEventListener("click", undo);
at("back").addEventListener("click", () => move(-1));
at("forward").addEventListener("click", () => move(1));
at("keys").addEventListener("click", () => at("help").showModal());
at("close").addEventListener("click", () => at("help").close());

async function open(kind, category) {
  try {
    const { position } = await request("/api/items", { category, kind });
    session = await request("/api/session");
    showProgress(session.progress, session.can_undo);
    await show(position);
  } catch (error) {
    banner(error.message);
    await show(session.first);
  }
}

async function start() {
  at("help-rows").replaceChildren(...KEYS.map(([key, text]) => {
    const row = make("tr"), head = make("th");
    head.append(make("kbd", key));
    row.append(head, make("td", text));
    return row;
  }));
  try {
    at("loading").hidden = false;
    [session, labels, outline] = await Promise.all(["/api/session", "/api/labels", "/api/outline"].map(path => request(path)));
  } catch (error) { at("loading").hidden = true; banner(error.message); return; }
  at("who").textContent = `${session.annotator} · ${session.profile}`;
  showProgress(session.progress, session.can_undo);
  const asked = new URLSearchParams(location.search);
  const kind = ["landmark", "class"].find(name => asked.has(name));
  await (kind ? open(kind, asked.get(kind)) : show(session.first));
}

start();
