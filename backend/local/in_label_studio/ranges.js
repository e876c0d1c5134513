// In Label Studio's gallery page: Shift or dragging marks several images at once.
(() => {
  const SHEET = ".hero-gallery:not(:has(.candidate)) .good";
  const annotation = () => window.Htx?.annotationStore?.selected;
  const choices = () => annotation()?.names.get("good");
  // None where nothing can be marked, as in what somebody else has said, or where several such
  // pages stand beside each other.
  function inputs() {
    const found = [...document.querySelectorAll(`${SHEET} input`)];
    const can = choices()?.children.length === found.length && !annotation().isReadOnly();
    return can ? found : [];
  }
  // An image by its name: Label Studio makes the elements anew when something is marked.
  const nameOf = (element) => element?.closest?.(`${SHEET} .lsf-choice`)?.querySelector("input")?.name;
  const nameAt = ({ clientX, clientY }) =>
    document.elementsFromPoint(clientX, clientY).map(nameOf).find(Boolean);

  document.documentElement.classList.add("hero-ranges"); // the page says that it can be done

  let last = null; // marked by the last click; a range by Shift begins there
  let drag = null; // on which page, from which image to which, and how all were marked before
  let dragged = false; // the click that ends a drag marks nothing

  // By Label Studio's own model of the page, so that one Ctrl+Z takes all of it back. The result is
  // told at once: a page may be submitted in the middle of a drag.
  function mark(wanted) {
    annotation().history.freeze("hero");
    wanted.forEach((value, i) => choices().children[i].setSelected(value));
    choices().updateResult();
  }
  function keep() {
    annotation().history.unfreeze("hero");
  }

  // All images as they were, but those between the two as `value` says.
  const range = (before, from, to, value) =>
    before.map((was, i) => (Math.min(from, to) <= i && i <= Math.max(from, to) ? value : was));
  const marked = () => inputs().map(({ checked }) => checked);
  const indexOf = (name) => inputs().findIndex((input) => input.name === name);

  document.addEventListener("pointerdown", (event) => {
    dragged = false;
    const from = indexOf(nameOf(event.target));
    if (from < 0 || event.button || event.shiftKey || event.pointerType === "touch") return;
    drag = { of: annotation(), from, to: from, before: marked() };
  });

  document.addEventListener("pointermove", (event) => {
    // It was let go outside of the window, or another page has come.
    if (!(event.buttons & 1) || drag?.of !== annotation()) end();
    const to = drag ? indexOf(nameAt(event)) : -1;
    if (to < 0 || to === drag.to) return;
    dragged = true;
    drag.to = to;
    mark(range(drag.before, drag.from, to, !drag.before[drag.from]));
  });

  function end() {
    if (dragged) {
      if (drag?.of === annotation()) {
        keep();
        last = inputs()[drag.to]?.name;
      }
      setTimeout(() => { dragged = false; }); // after the click, if there is one
    }
    drag = null;
  }
  document.addEventListener("pointerup", end);
  document.addEventListener("pointercancel", end);

  // Neither the images nor the text between them are dragged along.
  for (const other of ["dragstart", "selectstart"]) {
    document.addEventListener(other, (event) => {
      if (nameOf(event.target) ?? nameOf(event.target.parentElement)) event.preventDefault();
    });
  }

  document.addEventListener("click", (event) => {
    const name = nameOf(event.target);
    const [from, to] = [indexOf(last), indexOf(name)];
    const shift = name && event.shiftKey && from >= 0 && from !== to;
    if (dragged || shift) {
      event.preventDefault();
      event.stopPropagation();
    }
    if (shift) {
      setTimeout(() => { // after the click, which may be taking back what it did
        const before = marked();
        mark(range(before, from, to, before[from]));
        keep();
      });
    }
    if (name && !dragged) last = name;
    dragged = false;
  }, true);
})();
