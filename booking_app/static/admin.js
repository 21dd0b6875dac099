"use strict";

// What can't be undone asks first.
for (const form of document.querySelectorAll("form[data-confirm]")) {
  form.addEventListener("submit", (event) => {
    if (!window.confirm(form.dataset.confirm)) event.preventDefault();
  });
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
    if (mine === latest && !answer.redirected) plan.innerHTML = picture;
  };
  typed.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(draw, 300);
  });
}
