// Keeps the panel up to date without a page load. Every button in it works without this.
(() => {
  "use strict";
  const $ = id => document.getElementById(id), live = $("hood-live"), box = $("hood-box");

  const put = html => {
    const open = [...live.querySelectorAll("details[open]")].map(d => d.id);
    live.innerHTML = html; // from this very server, escaped there
    for (const id of open) $(id)?.setAttribute("open", "");
  };

  const refresh = async () => {
    const answer = await fetch("/demo/panel");
    if (answer.ok) put(await answer.text());
  };

  document.addEventListener("consentkit:change", refresh);
  addEventListener("pageshow", e => e.persisted && refresh());

  document.addEventListener("submit", async e => {
    if (e.target.id != "hood-audit") return;
    e.preventDefault();
    const button = e.submitter;
    button.disabled = true;
    button.textContent = "Auditing";
    const answer = await fetch(e.target.action, {method: "POST", headers: {"X-Fragment": "1"}});
    if (answer.ok) put(await answer.text());
    $("hood-audit").querySelector("button").focus({preventScroll: true});
  });

  box.addEventListener("toggle", () => {
    document.cookie = `demo-hood=${box.open ? "open" : "closed"}; Path=/; SameSite=Lax`;
  });
})();
