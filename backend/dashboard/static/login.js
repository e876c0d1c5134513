// Sends the password as JSON, which a form of another site cannot, and opens the page that was asked for.

const form = document.querySelector("#login");
const refused = document.querySelector("#refused");

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  refused.hidden = true;
  const answer = await fetch("/login", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ password: document.querySelector("#password").value }),
  });
  if (answer.ok) {
    if (location.pathname === "/login") location.assign("/runs");
    else location.reload();
    return;
  }
  refused.textContent = (await answer.json()).error;
  refused.hidden = false;
});
