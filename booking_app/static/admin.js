"use strict";

// What can't be undone asks first.
document.addEventListener("submit", (event) => {
  const asked = event.submitter?.dataset.confirm ?? event.target.dataset.confirm;
  if (asked && !window.confirm(asked)) event.preventDefault();
});

// All rows of a list at once.
const tickAll = document.getElementById("tick-all");
if (tickAll) {
  tickAll.hidden = false;
  tickAll.addEventListener("change", () => {
    for (const box of document.querySelectorAll("input[form=ticked]")) {
      if (box.type === "checkbox") box.checked = tickAll.checked;
    }
  });
}

// To what is wrong, which may be far down.
const wrong = document.querySelector("[aria-invalid], .message.error");
if (wrong) {
  wrong.tabIndex = 0;
  wrong.focus();
}

// The picture of a seat plan, drawn by the server while the plan is typed.
const plan = document.getElementById("plan");
if (plan) {
  const typed = document.getElementById(plan.dataset.of);
  let waiting = 0;
  let latest = 0;
  const draw = async () => {
    const mine = ++latest;
    const answer = await fetch(plan.dataset.picture, {
      method: "POST",
      body: new FormData(typed.form),
    });
    const picture = await answer.text();
    if (mine !== latest) return;
    if (answer.ok && !answer.redirected) plan.innerHTML = picture;
    else plan.textContent = "No picture: your session may have ended. Log in in another tab.";
  };
  typed.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(draw, 300);
  });

  // Examples of plans; without a script they stand there as text.
  const examples = document.getElementById("examples");
  examples.hidden = false;
  examples.addEventListener("click", (event) => {
    const { example } = event.target.dataset;
    if (!example) return;
    if (typed.value.trim() && !window.confirm(examples.dataset.replace)) return;
    typed.value = example;
    typed.dispatchEvent(new Event("input"));
    typed.focus();
  });
}
