// Images large, above the page: arrow keys lead to the next one, Escape back.

const dialog = document.createElement("dialog");
dialog.className = "large";
dialog.setAttribute("aria-label", "The image, large");
dialog.innerHTML = `<button type="button" data-step="-1" aria-label="The image before">←</button>
<figure><img alt=""><figcaption role="status"></figcaption></figure>
<button type="button" data-step="1" aria-label="The next image">→</button>
<button type="button" data-close aria-label="Close">×</button>`;
let links = [];
let at = 0;

function show(place) {
  at = (place + links.length) % links.length;
  const thumbs = [...links[at].querySelectorAll("img")];
  const shown = dialog.querySelector("img");
  const alt = thumbs.at(-1).alt;
  shown.src = links[at].href;
  shown.alt = alt;
  shown.classList.toggle("pixels", thumbs[0].classList.contains("pixels"));
  dialog.querySelector("figcaption").textContent = `${alt} (${at + 1} of ${links.length})`;
}

document.addEventListener("click", (event) => {
  const link = event.target.closest("a.frame, a[data-large]");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return; // a tab of its own
  event.preventDefault();
  links = [...document.querySelectorAll("a.frame, a[data-large]")];
  show(links.indexOf(link));
  document.body.append(dialog); // not before: until then it has no image
  dialog.showModal();
});

dialog.addEventListener("click", (event) => {
  const { step, close } = event.target.dataset;
  if (step) show(at + Number(step));
  else if (close !== undefined || event.target === dialog) dialog.close();
});

dialog.addEventListener("keydown", (event) => {
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (step) show(at + step);
});

dialog.addEventListener("close", () => links[at]?.focus());
