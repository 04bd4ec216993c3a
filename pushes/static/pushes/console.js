// What the console does in the browser. Every page works without it, except the live figures.
(function () {
  "use strict";

  // A form that acts is sent once: a second click finds its button off. The server refuses repeats anyway.
  document.addEventListener("submit", function (event) {
    if (!event.target.matches("form[data-once]")) return;
    if (event.target.dataset.sent) { event.preventDefault(); return; }
    event.target.dataset.sent = "yes";
    event.target.querySelectorAll("button[type=submit]").forEach(function (button) { button.disabled = true; });
  });
  // Coming back with the browser's Back button shows the page as it was left: make it usable again.
  window.addEventListener("pageshow", function () {
    document.querySelectorAll("form[data-sent]").forEach(function (form) {
      delete form.dataset.sent;
      form.querySelectorAll("button[type=submit]").forEach(function (button) { button.disabled = false; });
    });
  });

  document.addEventListener("click", function (event) {
    var button = event.target.closest("[data-copy]");
    if (!button) return;
    var source = document.getElementById(button.dataset.copy);
    var done = function () { button.textContent = "✓"; };
    if (navigator.clipboard) { navigator.clipboard.writeText(source.textContent).then(done); return; }
    var range = document.createRange();
    range.selectNodeContents(source);
    window.getSelection().removeAllRanges();
    window.getSelection().addRange(range);
    if (document.execCommand("copy")) done();
  });

  function bytes(text) { return new TextEncoder().encode(text).length; }

  function compose(form) {
    var title = form.querySelector("#id_title"), text = form.querySelector("#id_text");
    var data = form.querySelector("#id_data"), kind = form.querySelector("#id_audience_kind");
    var typed = form.querySelector("#id_accounts_typed");
    if (!title || !text) return;
    var most = Number(form.dataset.bytes), counter = document.getElementById("byte-count");
    var more = ["image", "link", "subtitle", "sound", "badge", "category", "android_channel"].map(function (name) {
      return form.querySelector("#id_" + name);
    }).filter(Boolean);

    function refresh() {
      var custom = data ? data.value.trim() : "";
      var used = bytes(title.value) + bytes(text.value.trim()) + (custom === "{}" ? 0 : bytes(custom));
      more.forEach(function (field) { used += bytes(field.value.trim()); });
      counter.textContent = counter.dataset.words.replace("{used}", used).replace("{most}", most);
      counter.classList.toggle("is-over", used > most);
      document.querySelectorAll("[data-preview=title]").forEach(function (node) { node.textContent = title.value || "…"; });
      document.querySelectorAll("[data-preview=text]").forEach(function (node) { node.textContent = text.value || "…"; });
    }
    // What is left blank does not show. Of a picture, its file's name: the page loads nothing from elsewhere.
    function extras() {
      ["subtitle", "image"].forEach(function (name) {
        var field = form.querySelector("#id_" + name), said = field ? field.value.trim() : "";
        var shown = name === "image" ? said.split(/[?#]/)[0].split("/").pop() || said : said;
        document.querySelectorAll("[data-preview=" + name + "]").forEach(function (node) {
          node.textContent = shown;
          node.hidden = !said;
        });
      });
    }
    // Whoever will not get it is not shown: the other app's phones, the other platform's.
    function addressed() {
      form.querySelectorAll("[data-preview-of]").forEach(function (node) {
        var field = form.querySelector("#id_" + node.dataset.previewOf), chosen = field ? field.value : "";
        node.hidden = Boolean(chosen) && chosen !== "both" && chosen !== node.dataset.value;
      });
    }
    // A list that no request may carry is not sent at all: the server could only answer with an error page.
    function fitting() {
      var over = bytes(typed.value) > Number(form.dataset.typed);
      typed.setCustomValidity(over ? form.dataset.typedWords : "");
      if (over) typed.reportValidity();
      return !over;
    }
    function audience() {
      var owners = { tag: "tag", accounts_typed: "accounts", accounts_file: "accounts" };
      Object.keys(owners).forEach(function (name) {
        var field = form.querySelector("#id_" + name), row = field && (field.closest(".field-" + name) || field.closest(".group"));
        if (row) row.style.display = kind.value === owners[name] ? "" : "none";
        // What is not shown is not sent either, and cannot be what keeps the form from being sent.
        if (field) field.disabled = kind.value !== owners[name];
      });
    }
    more.forEach(function (field) {
      field.addEventListener("input", function () { refresh(); extras(); });
      if (field.value && field.closest("details")) field.closest("details").open = true;
    });
    [title, text, data].forEach(function (field) { if (field) field.addEventListener("input", refresh); });
    ["app", "platform"].forEach(function (name) {
      var field = form.querySelector("#id_" + name);
      if (field) field.addEventListener("change", addressed);
    });
    if (typed) {
      typed.addEventListener("input", fitting);
      typed.form.addEventListener("submit", function (event) { if (!typed.disabled && !fitting()) event.preventDefault(); });
    }
    addressed();
    extras();
    if (kind) { kind.addEventListener("change", audience); audience(); }
    refresh();
  }
  // The theme's icons are words in a font: a screen reader would read "pause Pause". Links without an address
  // (its "Filters") are out of the keyboard's reach. Runs again whenever a part of the page was exchanged.
  function accessible() {
    document.querySelectorAll(".material-symbols-outlined:not([aria-hidden]):not([role])").forEach(function (icon) {
      var owner = icon.closest("a, button");
      var isAlone = owner && !owner.getAttribute("aria-label") && owner.textContent.trim() === icon.textContent.trim();
      if (!isAlone) icon.setAttribute("aria-hidden", "true");
    });
    document.querySelectorAll("#content a:not([href]):not([role]), header a:not([href]):not([role])").forEach(asButton);
    // The theme's own switches are bare elements, too: the menu behind one's name, and the sidebar's icons.
    document.querySelectorAll("[x-on\\:click^=openUserLinks]:not([role])").forEach(asButton);
    document.querySelectorAll("[x-on\\:click^=sidebar]:not([role])").forEach(function (icon) {
      var words = document.querySelector("[data-menu]");
      icon.removeAttribute("aria-hidden");
      icon.setAttribute("aria-label", words ? words.dataset.menu : "Menu");
      asButton(icon);
    });
  }
  function asButton(node) {
    node.setAttribute("role", "button");
    node.tabIndex = 0;
    node.addEventListener("keydown", function (event) {
      if (event.key === "Enter" || event.key === " ") { event.preventDefault(); node.click(); }
    });
  }
  // Fields in a list have no label of their own: the column's heading and the row's name are theirs.
  function labelled() {
    document.querySelectorAll("#result_list tbody td").forEach(function (cell) {
      var row = cell.closest("tr"), name = row.querySelector("th");
      var heading = document.querySelectorAll("#result_list thead th")[cell.cellIndex];
      cell.querySelectorAll("input:not([type=hidden]), select, textarea").forEach(function (field) {
        if (field.labels.length || field.getAttribute("aria-label")) return;
        field.setAttribute("aria-label", [heading, name].map(function (node) { return node ? node.textContent.trim() : ""; }).join(", "));
      });
    });
    // The theme takes a row's first cell for a check-box, whatever it is.
    document.querySelectorAll("#result_list tbody td:first-child:not(.action-checkbox)").forEach(function (cell) {
      var heading = document.querySelectorAll("#result_list thead th")[cell.cellIndex];
      if (heading) cell.dataset.label = heading.textContent.trim();
    });
    // Django's two-list widget puts names on marks that have no role.
    document.querySelectorAll("span.help-tooltip[aria-label]:not([role])").forEach(function (mark) { mark.setAttribute("role", "img"); });
  }
  document.addEventListener("htmx:afterSettle", accessible);
  // A part of a page that is exchanged takes the keyboard's place with it: the same link in the new part gets it back.
  var left = null;
  function focusables(part) { return [...part.querySelectorAll("a[href], button, summary, input, select")]; }
  document.addEventListener("htmx:beforeSwap", function (event) {
    // A whole form that refreshes itself comes with Django's scripts, which have run already and would fail now.
    if (event.detail.target && event.detail.target.id === "content-main") {
      event.detail.serverResponse = event.detail.serverResponse.replace(/<script\b[^]*?<\/script>/g, "");
    }
    var part = event.detail.target, node = document.activeElement;
    left = part && node && part !== node && part.contains(node) && !node.id
      ? { selector: "#" + part.id, at: focusables(part).indexOf(node), href: node.getAttribute("href") } : null;
  });
  document.addEventListener("htmx:afterSettle", function (event) {
    // The theme takes every exchanged part with rows of fields for a formset, and reads what one would say of itself.
    event.target.dataset.inlineFormset = event.target.dataset.inlineFormset || '{"options": {}}';
    var part = left && document.querySelector(left.selector);
    if (!part) return;
    var nodes = focusables(part);
    var node = nodes.find(function (one) { return left.href && one.getAttribute("href") === left.href; }) || nodes[left.at];
    left = null;
    if (node) node.focus({ preventScroll: true });
  });
  // A refused form begins with what is wrong: the summary has the focus and leads to each field.
  function refused() {
    var bad = [...document.querySelectorAll("#content [aria-invalid=true]")], note = document.querySelector("#content .errornote");
    document.querySelectorAll(".console-errors a").forEach(function (way) {
      var field = document.getElementById(way.getAttribute("href").slice(1));
      if (field) way.addEventListener("click", function (event) { event.preventDefault(); field.focus(); });
    });
    // Django's script for a new row, loaded whenever it comes, would give the focus to the first field.
    var first = note && document.getElementById("django-admin-form-add-constants");
    if (first) delete first.dataset.modelName;
    if (note) { note.tabIndex = -1; note.focus(); } else if (bad.length) bad[0].focus();
  }
  // Date and time stand under one label that belongs to neither, and the theme shows their links as pictures alone.
  function dated() {
    var words = document.querySelector("[data-zone-note]");
    document.querySelectorAll("input.vDateField, input.vTimeField").forEach(function (field) {
      var label = null, node = field.parentElement;
      while (node && !label) { label = node.querySelector("label, legend"); node = node.parentElement; }
      var name = label ? label.textContent.replace("*", "").trim() : "";
      function named(text) { return [name, text].filter(Boolean).join(": "); }
      if (!field.labels.length && !field.getAttribute("aria-label")) field.setAttribute("aria-label", named(field.placeholder));
      field.parentElement.querySelectorAll(".datetimeshortcuts a").forEach(function (way) {
        var picture = way.querySelector("[title]");
        way.setAttribute("aria-label", named(picture ? picture.title : way.textContent.trim()));
      });
    });
    if (!words) return;
    document.querySelectorAll(".calendarnav-previous").forEach(function (way) { way.setAttribute("aria-label", words.dataset.previousMonth); });
    document.querySelectorAll(".calendarnav-next").forEach(function (way) { way.setAttribute("aria-label", words.dataset.nextMonth); });
  }
  // Times are typed by the operator's own clock, whatever the server's or the browser's shows: said once a field, in
  // words, where the browser's clock shows another time. (Django's note speaks of a server, the theme draws an alarm.)
  function zoneNote(field) {
    var words = document.querySelector("[data-zone-note]"), shown = document.body.dataset.adminUtcOffset;
    var box = field.closest(".datetime") || field.parentElement;
    if (!words || !shown || Number(shown) === new Date().getTimezoneOffset() * -60 || box.parentElement.querySelector(".console-zone-note")) return;
    var note = document.createElement("p");
    note.className = "console-zone-note console-muted";
    note.textContent = words.dataset.zoneNote.replace("{browser}", Intl.DateTimeFormat().resolvedOptions().timeZone);
    box.after(note);
  }
  // A search box shows what may be typed into it, and is called nothing.
  function searchable() {
    var words = document.querySelector("[data-search]");
    document.querySelectorAll("#searchbar, input[type=search]:not([aria-label])").forEach(function (field) {
      if (words && !field.labels.length) field.setAttribute("aria-label", [words.dataset.search, field.placeholder].filter(Boolean).join(": "));
    });
  }
  // Logged out meanwhile: the login belongs in the window, not in the part of the page that was to be refreshed.
  document.addEventListener("htmx:beforeSwap", function (event) {
    if (!/\/admin\/(login|me\/second-factor)\//.test(event.detail.xhr.responseURL)) return;
    event.detail.shouldSwap = false;
    window.location.reload();
  });
  // Django builds its two-list widget on load, after this.
  window.addEventListener("load", function () { window.setTimeout(labelled); window.setTimeout(scrollable); window.setTimeout(dated); });
  function scrollable() {
    var words = document.querySelector("[data-scroll]");
    document.querySelectorAll('[aria-label="scrollable content"]').forEach(function (box) {
      if (words) box.setAttribute("aria-label", words.dataset.scroll);
    });
  }

  // The operator's page offers the zone that the browser is in, where it is another one than in use.
  function browserZone(hint) {
    var zone = Intl.DateTimeFormat().resolvedOptions().timeZone, field = document.getElementById("id_time_zone");
    if (!zone || zone === hint.dataset.zone || !field || !field.querySelector('option[value="' + CSS.escape(zone) + '"]')) return;
    hint.querySelector("span").textContent = hint.dataset.browserZone.replace("{zone}", zone);
    hint.querySelector("button").addEventListener("click", function () { field.value = zone; hint.hidden = true; });
    hint.hidden = false;
  }

  document.addEventListener("DOMContentLoaded", function () {
    accessible();
    labelled();
    refused();
    searchable();
    if (window.DateTimeShortcuts) window.DateTimeShortcuts.addTimezoneWarning = zoneNote;
    document.querySelectorAll("[data-browser-zone]").forEach(browserZone);
    document.querySelectorAll("[data-compose]").forEach(function (box) { compose(box); });
  });
})();
