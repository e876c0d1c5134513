// Asks for the page again while its run goes on, and changes in place what has changed. A page that
// nobody sees waits, unless its body says that it is looked at by its title (`data-unseen`).
// The server answers 304 while nothing has. Without scripts the page is whole, but stands still.

const lost = document.querySelector(".lost");
let tag = null;

function morph(old, fresh) {
  if (old.isEqualNode(fresh)) return;
  if (old.nodeType !== fresh.nodeType || old.nodeName !== fresh.nodeName || old.id !== fresh.id) {
    old.replaceWith(fresh);
    return;
  }
  if ("kept" in (old.dataset ?? {})) return; // what the page's own scripts have changed
  if (old.nodeType !== Node.ELEMENT_NODE) {
    old.nodeValue = fresh.nodeValue;
    return;
  }
  for (const { name, value } of [...fresh.attributes]) {
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  for (const { name } of [...old.attributes]) {
    // What a reader has opened stays open.
    if (!fresh.hasAttribute(name) && !(name === "open" && old.nodeName === "DETAILS")) {
      old.removeAttribute(name);
    }
  }
  const wanted = [...fresh.childNodes];
  for (const [position, node] of wanted.entries()) {
    const byId = node.id && [...old.children].find((child) => child.id === node.id);
    if (byId && byId !== old.childNodes[position]) old.insertBefore(byId, old.childNodes[position] ?? null);
    const here = old.childNodes[position];
    if (!here) old.append(node);
    else if (here.id && !byId && here.id !== node.id) here.before(node);
    else morph(here, node);
  }
  while (old.childNodes.length > wanted.length) old.lastChild.remove();
}

// One look after the other, so that no answer comes after a newer one.
let looking = Promise.resolve();
function look() {
  looking = looking.then(lookNow, lookNow);
  return looking;
}

async function lookNow() {
  const headers = tag ? { "If-None-Match": tag } : {};
  const answer = await fetch(location.href, { cache: "no-store", headers });
  lost.hidden = true;
  if (!answer.ok) return; // 304: as before
  tag = answer.headers.get("ETag");
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  withButtons(fresh);
  document.title = fresh.title;
  morph(document.getElementById("content"), fresh.getElementById("content"));
  document.body.dataset.live = fresh.body.dataset.live;
  document.dispatchEvent(new Event("looked"));
}

async function watch() {
  const seconds = Number(document.body.dataset.live);
  if (!seconds) return; // the run has ended
  let wait = seconds;
  if (!document.hidden || "unseen" in document.body.dataset) {
    try {
      await look();
      wait = Number(document.body.dataset.live);
    } catch {
      lost.hidden = false;
      wait = Math.max(5 * seconds, 2);
    }
  }
  setTimeout(watch, 1000 * wait);
}

function withButtons(page) {
  for (const code of page.querySelectorAll("code[data-copy]")) {
    const button = page.createElement("button");
    button.type = "button";
    button.textContent = "Copy";
    button.setAttribute("aria-label", `Copy ${code.textContent}`);
    code.after(button);
  }
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest("code[data-copy] + button");
  if (!button) return;
  const code = button.previousElementSibling;
  try {
    await navigator.clipboard.writeText(code.textContent);
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  } catch {
    getSelection().selectAllChildren(code); // no clipboard outside https: at least it is selected
  }
});

withButtons(document);
setTimeout(watch, 1000);
