// Forms that do something: sent as JSON with the page's token, which no other site can read.

const token = document.querySelector("meta[name=hero-token]").content;

document.addEventListener("submit", async (event) => {
  const form = event.target.closest("form[data-post]");
  if (!form) return;
  event.preventDefault();
  const { post, asks, then, doing } = form.dataset;
  if (asks && !(await agrees(asks, form.querySelector("button").textContent))) return;
  const buttons = form.querySelectorAll("button");
  for (const button of buttons) button.disabled = true;
  tell(doing ?? "", false);
  try {
    const answer = await fetch(post, {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-Hero-Token": token },
      body: JSON.stringify(fields(form)),
    });
    const said = await answer.json();
    if (answer.ok && then) location.assign(then + said.run);
    else tell(answer.ok ? said.said : said.error, !answer.ok);
    await look();
  } catch {
    tell("The backend does not answer; nothing is known of what became of this.", true);
  } finally {
    for (const button of buttons) button.disabled = false;
  }
});

function fields(form) {
  const said = {};
  for (const field of form.elements) {
    if (!field.name || field.value === "") continue;
    said[field.name] = field.type === "number" ? field.valueAsNumber : field.value;
  }
  return said;
}

function tell(text, wrong) {
  const said = document.getElementById("said");
  said.classList.toggle("wrong", wrong);
  said.setAttribute("role", wrong ? "alert" : "status");
  said.textContent = text.replaceAll("`", "");
}

// A dialog of the page's own, since a browser may have switched off confirm().
function agrees(question, yes) {
  const dialog = document.createElement("dialog");
  const words = document.createElement("p");
  words.textContent = question;
  words.id = "question";
  const row = document.createElement("div");
  row.className = "steps";
  for (const [text, value] of [[yes, "yes"], ["Cancel", ""]]) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = text;
    button.addEventListener("click", () => dialog.close(value));
    row.append(button);
  }
  dialog.setAttribute("aria-labelledby", "question");
  dialog.append(words, row);
  document.body.append(dialog);
  dialog.showModal();
  row.lastChild.focus();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes");
    });
  });
}

document.addEventListener("input", ({ target }) => {
  if (!("slide" in target.dataset)) return;
  target.closest(".sliders").style.setProperty("--at", `${100 - target.value}%`);
});
