"use strict";
// One question at a time about two images; the answers stay in this browser until they are exported.

const VERSION = 1;
const ANSWER_OF_KEY = { 1: "a", ArrowLeft: "a", 2: "b", ArrowRight: "b", 0: "tie", ArrowDown: "tie" };
const ANSWERS = ["a", "b", "tie"];
const BACK_KEYS = ["u", "U", "Backspace"];
const SMALL = 128; // images up to this side are shown pixel by pixel, enlarged by whole factors
const LARGEST = 512; // what images of fewer pixels are enlarged to at most
const LEAST = 160;

const byId = (id) => document.getElementById(id);
const arena = JSON.parse(byId("arena").textContent);

let rater = "";
let steps = []; // every comparison and question in this rater's order
let votes = []; // what was answered, in the order of answering
let unsaved = false; // answers that are neither in this browser nor exported

// ---- what the browser keeps; on some, pages opened from disk may keep nothing

const place = (name) => `arena-${arena.id}-${name}`;
const placeOfVotes = () => place(`votes-${rater.toLowerCase()}`);

function keep(name, value) {
  try {
    if (value === null) localStorage.removeItem(name);
    else localStorage.setItem(name, value);
    return true;
  } catch {
    return false;
  }
}

function kept(name) {
  try {
    return localStorage.getItem(name);
  } catch {
    return null;
  }
}

function keptVotes() {
  let found;
  try {
    found = JSON.parse(kept(placeOfVotes()) ?? "[]");
  } catch {
    return [];
  }
  const known = new Set(steps.map(nameOf));
  return Array.isArray(found) ? found.filter((vote) => known.has(nameOf(vote)) && ANSWERS.includes(vote.answer)) : [];
}

// ---- the order of a rater's comparisons: shuffled, and the same after a reload

function numberOf(text) { // FNV-1a
  let hash = 0x811c9dc5;
  for (const unit of text) hash = Math.imul(hash ^ unit.codePointAt(0), 0x01000193);
  return hash >>> 0;
}

function randomFrom(state) { // mulberry32
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

function shuffled(list, random) {
  const result = [...list];
  for (let last = result.length - 1; last > 0; last--) {
    const other = Math.floor(random() * (last + 1));
    [result[last], result[other]] = [result[other], result[last]];
  }
  return result;
}

const nameOf = (step) => `${step.comparison}/${step.question}`;

function stepsOf(name) {
  const random = randomFrom(numberOf(`${arena.id}/${name.toLowerCase()}`));
  const pair = (comparison, question) => ({ comparison: comparison.id, question: question.id });
  return shuffled(arena.comparisons, random).flatMap((one) => arena.questions.map((asked) => pair(one, asked)));
}

function nextStep() {
  const answered = new Set(votes.map(nameOf));
  return steps.find((step) => !answered.has(nameOf(step)));
}

// ---- what is shown

function show(section) {
  for (const id of ["start", "vote", "end"]) byId(id).hidden = id !== section;
}

function showStart() {
  show("start");
  byId("name").value = "";
  byId("name").focus();
}

function tell(text) {
  byId("said").textContent = text;
  byId("ended").textContent = text;
  fit();
}

function render() {
  const step = nextStep();
  for (const button of document.querySelectorAll("[data-do=back], [data-do=export]")) {
    button.disabled = votes.length === 0;
  }
  if (!step) return showEnd();
  const whole = arena.comparisons.length;
  const judged = Math.floor(steps.indexOf(step) / arena.questions.length);
  const comparison = arena.comparisons.find((one) => one.id === step.comparison);
  const number = arena.questions.findIndex((one) => one.id === step.question);
  byId("where").textContent = `Comparison ${judged + 1} of ${whole}`;
  byId("done").max = whole;
  byId("done").value = judged;
  byId("who").textContent = rater;
  byId("prompt").textContent = comparison.text;
  showQuestion(arena.questions[number].text, number);
  show("vote");
  showPictures(comparison.id);
}

function showQuestion(text, number) {
  const where = document.createElement("small");
  where.textContent = `Question ${number + 1} of ${arena.questions.length}`;
  byId("question").replaceChildren(where, text);
}

function showPictures(comparison) {
  for (const side of ["a", "b"]) {
    const image = byId(`picture-${side}`);
    if (image.dataset.comparison !== comparison) {
      image.dataset.comparison = comparison;
      image.src = `data:image/png;base64,${byId(`${comparison}-${side}`).textContent}`;
      if (side === "a") window.scrollTo(0, 0);
    }
  }
  fit();
}

function fit() { // both images in the same size, as large as the window lets them be
  const images = ["a", "b"].map((side) => byId(`picture-${side}`));
  const [width, height] = [images[0].naturalWidth, images[0].naturalHeight];
  if (byId("vote").hidden || !width) return;
  const small = Math.max(width, height) <= SMALL;
  const scale = scaleFor(width, height, small);
  for (const image of images) {
    image.classList.toggle("small", small);
    image.style.width = `${width * scale}px`;
    image.style.height = `${height * scale}px`;
  }
}

function scaleFor(width, height, small) {
  const stacked = getComputedStyle(byId("pictures")).flexDirection === "column";
  const others = ["top", "prompt", "panel"].reduce((sum, id) => sum + byId(id).offsetHeight, stacked ? 40 : 70);
  const free = Math.max(LEAST, (window.innerHeight - others) / (stacked ? 2 : 1));
  const wide = stacked ? byId("pictures").clientWidth - 60 : (byId("pictures").clientWidth - 56) / 2;
  // A large image on a phone is better scrolled to than shrunk to half a screen.
  const high = stacked && !small ? Infinity : free;
  const most = Math.max(LARGEST / Math.max(width, height), 1);
  const scale = Math.min(wide / width, high / height, most);
  if (!small) return scale;
  const dots = window.devicePixelRatio || 1;
  return Math.max(1, Math.floor(scale * dots)) / dots;
}

function showEnd() {
  show("end");
  byId("thanks").textContent = `Thank you, ${rater}: everything is judged.`;
  byId("copy").value = exported();
  byId("thanks").focus();
}

// ---- what the rater does

function enter(name) {
  rater = name;
  steps = stepsOf(rater);
  votes = keptVotes();
  unsaved = false;
  tell(keep(place("rater"), rater) ? "" : "This browser keeps no answers: export your votes before you close the page.");
  render();
  if (!byId("vote").hidden) byId("where").focus();
}

function leave() {
  keep(place("rater"), null);
  tell("");
  showStart();
}

function answer(what) {
  const step = nextStep();
  if (!step) return;
  votes.push({ ...step, answer: what });
  changed();
}

function back() {
  if (!votes.length) return;
  votes.pop();
  changed();
}

function changed() {
  const safe = keep(placeOfVotes(), JSON.stringify(votes));
  unsaved = !safe;
  tell(safe ? "" : "This browser keeps no answers: export your votes before you close the page.");
  render();
}

function exported() {
  return `${JSON.stringify({ version: VERSION, arena: arena.id, rater, votes }, null, 1)}\n`;
}

function exportVotes() {
  const link = document.createElement("a");
  const address = URL.createObjectURL(new Blob([exported()], { type: "application/json" }));
  link.href = address;
  link.download = `votes-${arena.id}-${rater.replace(/[^\p{L}\p{N}_-]+/gu, "_")}.json`;
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
  unsaved = false;
  tell(`${link.download} holds your ${votes.length} ${votes.length === 1 ? "answer" : "answers"} so far.`);
}

// ---- how it is all tied together

const DEEDS = { back, leave, export: exportVotes };
for (const button of document.querySelectorAll("[data-do]")) {
  button.addEventListener("click", () => DEEDS[button.dataset.do]());
}
for (const button of document.querySelectorAll("[data-answer]")) {
  // The second click of a double click would answer a question that was not read yet.
  button.addEventListener("click", (event) => event.detail > 1 || answer(button.dataset.answer));
}
byId("enter").addEventListener("submit", (event) => {
  event.preventDefault();
  const name = byId("name").value.normalize("NFC").trim().replace(/\s+/gu, " ");
  byId("refused").hidden = name !== "";
  byId("refused").textContent = "Please give a name or initials; they tell your votes from others’.";
  if (name) enter(name);
});
document.addEventListener("keydown", (event) => {
  if (event.repeat || event.ctrlKey || event.altKey || event.metaKey) return;
  if (event.target.closest("input, textarea")) return;
  const voting = !byId("vote").hidden;
  if (voting && event.key in ANSWER_OF_KEY) answer(ANSWER_OF_KEY[event.key]);
  else if ((voting || !byId("end").hidden) && BACK_KEYS.includes(event.key)) back();
  else return;
  event.preventDefault();
});
window.addEventListener("resize", fit);
for (const side of ["a", "b"]) byId(`picture-${side}`).addEventListener("load", fit);
window.addEventListener("storage", (event) => { // another tab of the same rater went on
  if (!rater || byId("start").hidden === false || event.key !== placeOfVotes()) return;
  votes = keptVotes();
  render();
});
window.addEventListener("beforeunload", (event) => {
  if (unsaved) event.preventDefault();
});

const times = (count, word) => `${count} ${word}${count === 1 ? "" : "s"}`;
byId("asks").textContent = times(arena.questions.length, "question");
byId("amount").textContent = `There are ${times(arena.comparisons.length, "comparison")} to judge.`;
const before = kept(place("rater"));
if (before) enter(before);
else showStart();
