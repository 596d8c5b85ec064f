// Shows a toast for each badge, in the element that badges/live.html makes. On that element an event "badge" is dispatched
// first, with the data as `detail`; it bubbles, and preventDefault() keeps the toast away.
(() => {
  "use strict";

  const SHOWN_FOR = 8000;
  const POLL_EVERY = 10000;

  const box = document.querySelector("[data-badges-live]");
  if (!box || box.dataset.badgesStarted) {
    return;
  }
  box.dataset.badgesStarted = "true";
  const { badgesLive, badgesRecent, badgesUser, badgesTitle, badgesImage, badgesClose } = box.dataset;

  // The last id and the toasts outlive the page: badges between two pages are shown on the second.
  const key = `badges:${badgesUser}`;
  const memory = { id: "", toasts: [] };
  const remember = () => {
    try {
      sessionStorage.setItem(key, JSON.stringify(memory));
    } catch {
      // Without storage, the memory lasts as long as the page.
    }
  };
  try {
    Object.assign(memory, JSON.parse(sessionStorage.getItem(key)));
  } catch {
    // Nothing is stored, or something else.
  }

  const element = (name, className, text) => {
    const made = document.createElement(name);
    made.className = className;
    if (text) {
      made.textContent = text;
    }
    return made;
  };

  const show = (toast) => {
    const { data } = toast;
    const card = element("div", "badges-toast");
    const source = data.image || badgesImage;
    if (source) {
      const image = element("img", "badges-toast__image");
      image.src = source;
      image.alt = "";
      card.append(image);
    }
    const text = element("div", "badges-toast__text");
    const name = element(data.url ? "a" : "span", "badges-toast__name", data.name);
    if (data.url) {
      name.href = data.url;
    }
    text.append(element("span", "badges-toast__title", badgesTitle), name);
    if (data.description) {
      text.append(element("span", "badges-toast__description", data.description));
    }
    const close = element("button", "badges-toast__close", "\u00d7");
    close.type = "button";
    close.setAttribute("aria-label", badgesClose);
    card.append(text, close);
    let timer = 0;
    const remove = () => {
      clearTimeout(timer);
      card.remove();
      memory.toasts = memory.toasts.filter((other) => other !== toast);
      remember();
    };
    const start = () => {
      clearTimeout(timer);
      timer = setTimeout(remove, Math.max(toast.until - Date.now(), 1500));
    };
    // It stays while it is hovered or focused.
    const stay = () => clearTimeout(timer);
    card.addEventListener("mouseenter", stay);
    card.addEventListener("mouseleave", start);
    card.addEventListener("focusin", stay);
    card.addEventListener("focusout", start);
    close.addEventListener("click", remove);
    box.append(card);
    start();
  };

  const receive = (data) => {
    const event = new CustomEvent("badge", { detail: data, bubbles: true, cancelable: true });
    if (box.dispatchEvent(event) && data.kind === "awarded") {
      const toast = { data, until: Date.now() + SHOWN_FOR };
      memory.toasts.push(toast);
      show(toast);
    }
  };

  memory.toasts = memory.toasts.filter((toast) => toast.until > Date.now());
  memory.toasts.forEach(show);

  let source = null;
  let timer = 0;

  const poll = async () => {
    let proceeds = true;
    try {
      const response = await fetch(`${badgesRecent}?after=${encodeURIComponent(memory.id)}`, {
        credentials: "same-origin",
        cache: "no-cache",
      });
      if (response.ok) {
        const found = await response.json();
        memory.id = found.id;
        found.events.forEach(receive);
        remember();
      } else {
        proceeds = response.status >= 500 || response.status === 429;
      }
    } catch {
      // The network is gone for now.
    }
    if (proceeds) {
      timer = setTimeout(poll, POLL_EVERY);
    }
  };

  const open = () => {
    if (!window.EventSource) {
      poll();
      return;
    }
    const address = memory.id ? `${badgesLive}?after=${encodeURIComponent(memory.id)}` : badgesLive;
    source = new EventSource(address);
    source.addEventListener("ready", (event) => {
      memory.id = event.lastEventId;
      remember();
    });
    source.addEventListener("badge", (event) => {
      memory.id = event.lastEventId;
      receive(JSON.parse(event.data));
      remember();
    });
    source.addEventListener("error", () => {
      // A closed stream was rejected; otherwise the browser reconnects by itself, with the last id.
      if (source.readyState === EventSource.CLOSED) {
        poll();
      }
    });
  };

  const stop = () => {
    clearTimeout(timer);
    if (source) {
      source.close();
    }
  };

  // An open stream would keep the page out of the browser's cache of pages.
  window.addEventListener("pagehide", stop);
  window.addEventListener("pageshow", (event) => {
    if (event.persisted) {
      open();
    }
  });
  open();
})();
