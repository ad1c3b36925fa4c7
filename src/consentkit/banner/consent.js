// Spares a page load where the forms would do: posts choices, opens them in place, tells what became of them.
// Everything works without it. It needs no inline code and no eval; the one cookie it writes is a refusal.
(() => {
  "use strict";
  const d = document, me = d.currentScript.dataset, $ = id => d.getElementById(id);
  if (d.ck) return;
  d.ck = 1;
  const words = text => text.match(/\S+/g) || [];
  const name = me.refusal.match(/.+?=/)[0];
  const mine = () => d.cookie.split("; ").find(c => c.startsWith(name));
  let busy, waiting, late, timer, hush, pause = 5e3, opener;

  // One decision at a time: the newest takes the place of one that waits, and of one to be tried again.
  const send = job => {
    clearTimeout(timer);
    late = 0;
    if (busy) return waiting = job;
    busy = 1;
    fetch(job.url, {
      method: "POST",
      body: job.body,
      headers: {Accept: "application/json"},
      keepalive: true,
      signal: AbortSignal.timeout?.(15e3)
    })
      .then(r => r.ok || r.status == 503 ? r.json() : Promise.reject(r))
      .then(r => settle(job, r), e => fail(job, e.status))
      .finally(() => {
        const next = waiting;
        busy = waiting = 0;
        if (next) send(next);
      });
  };

  const settle = (job, r) => {
    // The page of choices then has the receipt, for those too who carry nothing that leads to one.
    me.home = r.choices;
    changed(r.consent);
    if (waiting) return;
    if (r.grantsDropped) open("again");
    else done(r.deviceOnly ? "local" : "saved", 1);
  };

  // A refusal holds even when nobody hears of it. A grant is never sent twice.
  const fail = (job, status) => {
    if (job.less) {
      d.cookie = me.refusal;
      changed({granted: [], deviceOnly: true});
    }
    if (waiting) return;
    if (!job.less) say("failed");
    else done(job.more ? "mixed" : "local");
    if (job.less && !job.more && !(status < 500)) {
      late = job;
      timer = setTimeout(send, pause *= 2, job);
    }
  };

  const done = (key, heard) => {
    if ($("ck-box")) close(1);
    else if (heard) open();
    // A browser drops a cookie without a word: one that is Secure over plain http, or any where cookies are off.
    say(mine() ? key : "unkept");
  };

  const say = key => {
    const p = d.querySelector(".ck-say");
    if (!p) return;
    clearTimeout(hush);
    p.textContent = p.dataset[key];
    if (key == "saved") hush = setTimeout(() => p.textContent = "", 6e3);
  };

  const changed = state => {
    const on = state.granted;
    for (const s of d.querySelectorAll("[data-ck-signal]"))
      s.hidden = words(s.dataset.ckSignal).every(n => on.includes(n));
    release(on);
    d.dispatchEvent(new CustomEvent("consentkit:change", {detail: state}));
  };

  // Scripts that the page holds back start once what they wait for is allowed.
  const release = on => {
    for (const old of d.querySelectorAll('script[type="text/plain"][data-consent]')) {
      if (!on.includes(old.dataset.consent)) continue;
      const s = d.createElement("script");
      for (const a of old.attributes) if (a.name != "type") s.setAttribute(a.name, a.value);
      s.nonce = old.nonce;
      s.text = old.text;
      old.replaceWith(s);
    }
  };

  // The choices come from their own page, so they are those in force now. XMLHttpRequest parses without innerHTML.
  const open = key => {
    const x = new XMLHttpRequest(), away = () => location.assign(me.home);
    x.open("GET", me.home);
    x.responseType = "document";
    x.onerror = away;
    x.onload = () => {
      const form = x.response?.getElementById("ck-form"), here = $("ck-form"), box = $("ck-box"), first = $("ck-first");
      if (!form || !here && !box) return away();
      if (here) here.replaceWith(form);
      else {
        if (first) first.hidden = true;
        box.append(form);
        box.hidden = false;
      }
      if (box) form.querySelector(".ck-x").hidden = false;
      if (key) say(key);
      $("ck-h").focus();
    };
    x.send();
  };

  const close = decided => {
    const box = $("ck-box"), within = box.contains(d.activeElement);
    $("ck-form")?.remove();
    if (decided) $("ck-first")?.remove();
    const first = $("ck-first");
    if (first) first.hidden = false;
    else box.hidden = true;
    if (within) (opener?.isConnected ? opener : d.querySelector(".ck-open"))?.focus({preventScroll: true});
  };

  d.addEventListener("submit", e => {
    const form = e.target, what = form.dataset.ck, button = e.submitter;
    if (!what || !button || e.defaultPrevented) return;
    e.preventDefault();
    opener = button;
    if (what == "open") return open();
    const control = button.value, body = new URLSearchParams(new FormData(form));
    body.append("control", control);
    const on = body.getAll("on"), save = control == "save";
    send({
      url: form.action,
      body,
      more: save && on.length,
      less: control == "refuse" || save && (!on.length || words(body.get("shown")).some(n => !on.includes(n)))
    });
  });

  d.addEventListener("click", e => {
    const t = e.target.closest?.(".ck-open, .ck-x");
    if (!t || e.button || e.ctrlKey || e.metaKey || e.shiftKey || e.altKey) return;
    e.preventDefault();
    if (t.className == "ck-x") return close();
    opener = t;
    open();
  });

  d.addEventListener("keydown", e => {
    if (e.key == "Escape" && $("ck-form") && $("ck-box")?.contains(e.target)) close();
  });

  // A category's toggle moves those of its services along; the last service to go takes it along.
  d.addEventListener("change", e => {
    const t = e.target, group = t.closest?.("#ck-form .ck-cat");
    if (!group || t.name != "on") return;
    const [all, ...each] = group.querySelectorAll("[name=on]");
    if (t == all) for (const i of each) i.checked = t.checked;
    else if (!each.some(i => i.checked)) all.checked = false;
    else if (t.checked && all.defaultChecked) all.checked = true;
  });

  addEventListener("online", () => late && send(late));

  // A page that comes back out of the browser's memory may show a banner that was answered on another page.
  const before = mine();
  addEventListener("pageshow", e => {
    if (e.persisted && mine() != before && $("ck-box")) close(1);
  });

  release(words(me.on));
})();
