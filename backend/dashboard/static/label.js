// Shows Label Studio's own page while there is something to label, asks it for the next batch when
// that is there, and tells those who look elsewhere. What stands beside it is changed by live.js.

const stage = document.getElementById("stage");
const apart = document.getElementById("apart");
const sound = document.getElementById("sound");
const notify = document.getElementById("notify");
const framed = stage !== null && sameSite(new URL(stage.dataset.stream), location);
let shown = null; // the batch that stands in the frame
let there = null; // the same, whatever is asked of it
let empty = null; // the batch of which Label Studio has no task for whoever looks
let later = null; // when it is asked again
let told = null; // the phase and the batch that were told last
let heard = null; // the last pulse
let audio = null;

// A frame of another site would have no cookies, and so nobody could log in there.
function sameSite(one, other) {
  if (one.protocol !== other.protocol) return false;
  const names = ({ hostname }) => [hostname, hostname.split(".").slice(1).join(".")];
  const isAddress = /^[\d.]+$|:/;
  if (isAddress.test(one.hostname) || isAddress.test(other.hostname)) return one.hostname === other.hostname;
  return one.hostname === other.hostname
    || names(one).some((name) => name.includes(".") && names(other).includes(name));
}

function follow() {
  const { phase, batch, place, tell } = document.getElementById("label").dataset;
  const labelling = phase === "label";
  if (stage) {
    apart.hidden = framed || !labelling;
    // Out of sight, it is still asked whether there is a task again; hidden, it would do nothing.
    stage.inert = phase === "rest" && place === empty;
    stage.hidden = !framed || !(labelling || stage.inert);
    const wanted = stage.hidden ? null : batch;
    if (shown !== wanted) {
      [shown, there] = [wanted, place];
      load(wanted === null ? "about:blank" : stage.dataset.stream);
    }
    if (labelling && framed && document.activeElement !== stage) hand();
  }
  document.body.classList.toggle("framed", framed && labelling);
  const now = `${phase} ${labelling ? batch : ""}`;
  if (told !== null && told !== now && !["wait", "rest"].includes(phase)) call(tell);
  told = now;
}

// `replace`, so that the browser's Back leads out of this page and not through its batches.
function load(address) {
  stage.contentWindow.location.replace(address);
}

// Near the end of a batch each label is seen at once, before Label Studio says that none is left.
async function listen() {
  const { pulse } = document.getElementById("label").dataset;
  let wait = 1000;
  if (pulse && !document.hidden) {
    try {
      const beat = await (await fetch(pulse, { cache: "no-store" })).text();
      if (beat !== heard) await look();
      heard = beat;
      wait = 120;
    } catch { } // live.js says that the connection is lost
  }
  setTimeout(listen, wait);
}

// Who looks, and what they said, stands in the address, so that the server knows it with each look.
function say(name, value) {
  const address = new URL(location.href);
  if (value) address.searchParams.set(name, value);
  else address.searchParams.delete(name);
  if (address.href === location.href) return;
  history.replaceState(null, "", address);
  look();
}

document.addEventListener("change", ({ target }) => {
  if (target.id !== "me") return;
  localStorage.setItem("hero-me", target.value);
  say("me", target.value);
});
document.addEventListener("click", ({ target }) => {
  if (target.id === "done") say("done", document.getElementById("label").dataset.place);
  if (target.id !== "not-done") return;
  shown = null; // Label Studio is asked, and not shown as it was
  say("done", "");
});

// What Label Studio says by the script that its pages may carry. Where it has no task now, it is asked
// again later: somebody may leave a task that they had open.
const LATER = 60_000;
window.addEventListener("message", ({ source, data }) => {
  if (stage === null || source !== stage.contentWindow) return;
  if (data === "hero: a task") say("done", "");
  if (data !== "hero: no task" || shown === null) return;
  empty = there;
  say("done", there);
  clearTimeout(later);
  later = setTimeout(() => { if (stage.inert && shown === empty) load(stage.dataset.stream); }, LATER);
});

// The keys go to Label Studio, unless somebody uses a switch of this page. Not again and again: that
// would take the focus from a field in the frame, such as that of the password.
function hand() {
  if ([document.body, stage, null].includes(document.activeElement)) stage.focus();
}

function call(text) {
  if (sound.checked) beep();
  if (notify.checked && (document.hidden || !document.hasFocus())) {
    const note = new Notification(text, { tag: location.pathname, icon: "/runs-assets/icon.svg" });
    note.onclick = () => { window.focus(); note.close(); };
  }
}

function beep() {
  audio ??= new AudioContext();
  audio.resume();
  for (const [frequency, after] of [[660, 0], [880, 0.16]]) {
    const tone = audio.createOscillator();
    const loudness = audio.createGain();
    const begin = audio.currentTime + after;
    tone.frequency.value = frequency;
    loudness.gain.setValueAtTime(0.12, begin);
    loudness.gain.exponentialRampToValueAtTime(0.001, begin + 0.3);
    tone.connect(loudness).connect(audio.destination);
    tone.start(begin);
    tone.stop(begin + 0.3);
  }
}

function remember(box) {
  box.checked = localStorage.getItem(`hero-${box.id}`) === "on";
  box.addEventListener("change", () => localStorage.setItem(`hero-${box.id}`, box.checked ? "on" : "off"));
}

remember(sound);
remember(notify);
sound.addEventListener("change", () => { if (sound.checked) beep(); });
const able = window.isSecureContext && "Notification" in window; // browsers show none of http pages
document.getElementById("notify-label").hidden = !able;
if (!able || Notification.permission !== "granted") notify.checked = false;
notify.addEventListener("change", async () => {
  if (notify.checked && (await Notification.requestPermission()) !== "granted") notify.checked = false;
});
document.getElementById("switches").hidden = false;
stage?.addEventListener("load", () => { if (!stage.hidden && !stage.inert) hand(); });
document.addEventListener("looked", follow);
follow();
say("me", localStorage.getItem("hero-me") ?? "");
listen();
