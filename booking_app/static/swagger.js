// Swagger UI, with what depends on the caller filled in: every call works with "Try it out" and
// "Execute", nothing typed. A file of its own: an inline script would need 'unsafe-inline' in the
// content security policy.
"use strict";

const openapi = new URL(document.currentScript.dataset.document, location);
const page = document.getElementById("swagger-ui");

// In sessionStorage, not in localStorage: tokens outlive a reload, but not the tab, and nobody who
// sits down at this browser later gets them. Passwords are never stored.
const KEY = "swagger-ui";
const session = JSON.parse(sessionStorage.getItem(KEY) ?? "{}");
let password; // of the account that signed up or logged in last

// The ids of what was made in this page, newest last.
const made = { cinema_id: [], movie_id: [], screen_id: [], show_id: [] };
let known = {}; // what the API says of the caller: see `look`
let tag = newTag(); // ends names that must be new
const filled = {}; // what was filled in; anything else was typed, and stays
let looks = 0;

const ui = SwaggerUIBundle({
  url: openapi.href,
  tryItOutEnabled: true,
  dom_id: "#swagger-ui",
  deepLinking: true,
  defaultModelsExpandDepth: 0,
  validatorUrl: null,
  onComplete: () => (session.access ? authorize(session) : look()),
  plugins: [
    {
      statePlugins: {
        auth: { wrapActions: { authorize: onAuthorize, logout: onLogout } },
        oas3: { wrapActions: { setRequestBodyValue: onBody } },
        spec: { wrapActions: { setResponse: onResponse } },
      },
    },
  ],
});

// Logging in and out: by a call that was tried, by the dialog, by a reload.

function authorize({ access, refresh }) {
  const place = ["components", "securitySchemes", "bearer"];
  const schema = ui.specSelectors.specJson().getIn(place).toJS();
  ui.authActions.authorize({ bearer: { name: "bearer", schema, value: access } });
  keep({ refresh });
}

function onAuthorize(original) {
  return (credentials) => {
    original(credentials);
    // A token that was pasted may be another account's than the refresh token.
    keep({ access: credentials.bearer.value, refresh: undefined });
    look();
  };
}

function onLogout(original) {
  return (names) => {
    original(names);
    keep({ access: undefined, refresh: undefined });
    look();
  };
}

function forget() {
  ui.authActions.logout(["bearer"]);
}

// The access token is over; with the refresh token the person gets the next one.
function expire() {
  const { refresh } = session;
  forget();
  keep({ refresh });
}

function keep(changes) {
  Object.assign(session, changes);
  sessionStorage.setItem(KEY, JSON.stringify(session));
}

// Learning from answers.

function onResponse(original, system) {
  return (path, method, answer) => {
    if (method !== "get" && answer.status < 300) {
      const sent = system.specSelectors.requestFor(path, method).get("body");
      learn(path, method, answer, JSON.parse(sent || "{}"));
      tag = newTag();
      look();
    }
    original(path, method, answer);
  };
}

function learn(path, method, answer, sent) {
  const id = answer.obj?.id;
  if (path.endsWith("/signup/")) keep({ signed_up: id });
  if (path.endsWith("/signup/") || path.endsWith("/login/")) {
    keep({ username: sent.username });
    password = sent.password;
  }
  if (path.endsWith("/password/")) password = sent.new_password;
  if (answer.obj?.access) authorize(answer.obj);
  // With a refresh token in the body it is that token's session that ends.
  if (path.endsWith("/logout/") && (!sent.refresh || sent.refresh === session.refresh)) forget();

  const noun = path.match(/(\w+)s\/$/)?.[1];
  if (answer.status === 201) made[`${noun}_id`]?.push(id);
  if (method === "delete") {
    const name = path.match(/\{(\w+)\}\/$/)?.[1];
    const gone = Number(answer.url.match(/(\d+)\/$/)?.[1]);
    if (name in made) made[name] = made[name].filter((one) => one !== gone);
    if (name === "session_id" && gone === known.current_session) forget();
  }
}

// Asks the API for what can be filled in, and fills it in. Also after each call that writes: a
// seat is taken then, a hold confirmed.
async function look() {
  const mine = ++looks;
  page.ariaBusy = "true";
  const me = session.access && (await ask("me/"));
  const [bookings = [], sessions = [], accounts = []] = await Promise.all(
    me ? [ask("my-bookings/"), ask("me/sessions/"), me.is_staff && ask("accounts/")] : [],
  );
  const on_sale = example("show_id");
  const show = made.show_id.at(-1) ?? on_sale;
  const [free, changeable] = await Promise.all([freeSeats(on_sale), freeSeats(show)]);
  if (mine !== looks) return; // a later one knows more

  const held = bookings.filter((one) => one.status === "held");
  const live = bookings.filter((one) => one.status === "held" || one.status === "booked");
  const current = sessions.find((one) => one.current)?.id;
  const others = (accounts || []).filter((one) => one.id !== me.id);
  known = {
    booking_id: bookings[0]?.id,
    held_booking: held[0]?.id,
    live_booking: live[0]?.id,
    current_session: current,
    session_id: sessions.find((one) => !one.current)?.id ?? current,
    account_id: (others.find((one) => one.id === session.signed_up) ?? others[0] ?? me)?.id,
    ids: show && [show],
    seat_number: free.at(0),
    blocked_seat: changeable.at(-1),
    refresh: session.refresh,
  };
  for (const [name, ids] of Object.entries(made)) known[name] = ids.at(-1);
  fillIn();
  page.ariaBusy = "false";
}

async function ask(path) {
  const headers = session.access ? { Authorization: `Bearer ${session.access}` } : {};
  const answer = await fetch(new URL(`api/${path}`, openapi), { headers }).catch(() => undefined);
  if (answer?.status === 401) expire();
  return answer?.ok ? answer.json() : undefined;
}

async function freeSeats(show) {
  const map = show && (await ask(`shows/${show}/seats/`));
  return (map?.rows ?? [])
    .flatMap((row) => row.seats)
    .filter((seat) => seat.status === "available" && seat.kind === "standard")
    .map((seat) => seat.seat_number);
}

// Filling in.

function paths() {
  return Object.entries(ui.specSelectors.specJson().toJS().paths ?? {});
}

function example(name) {
  const parameters = paths().flatMap(([, item]) => item.parameters ?? []);
  return parameters.find((one) => one.name === name)?.example;
}

function valueOf(name, sample, path, method) {
  if (/\/(confirm|extend)\/$/.test(path) && name === "booking_id") return known.held_booking;
  if (path.endsWith("/cancel/") && name === "booking_id") return known.live_booking;
  // Not a show that was made here: once it has bookings it can't be deleted.
  if (/\/(book|hold)\/$/.test(path) && name === "show_id") return sample;
  // A click must not delete what was not made here.
  if (method === "delete" && name in made) return known[name];
  if (path.endsWith("/signup/") && name === "password") return sample;
  if (path.endsWith("/login/") && name === "username") return session.username ?? sample;
  if (name === "password" || name === "old_password") return password ?? sample;
  if (["username", "name", "screen_name", "new_password"].includes(name)) return `${sample}-${tag}`;
  if (path.endsWith("/blocked-seats/") && name === "seats")
    return [{ ...sample[0], seat_number: known.blocked_seat ?? sample[0].seat_number }];
  return known[name] ?? sample;
}

function fillIn() {
  for (const [path, { parameters = [], ...operations }] of paths()) {
    for (const [method, operation] of Object.entries(operations)) {
      for (const parameter of [...parameters, ...(operation.parameters ?? [])])
        if (parameter.in === "path") fillParameter(path, method, parameter);
      fillBody(path, method);
    }
  }
}

function fillParameter(path, method, { name, example: sample = "" }) {
  const shown = ui.specSelectors.getParameter([path, method], name, "path")?.get("value");
  const value = valueOf(name, sample, path, method) ?? "";
  if (mayReplace(`${shown ?? sample}`, `${sample}`, `${value}`, [method, path, name]))
    ui.specActions.changeParam([path, method], name, "path", `${value}`, false);
}

function fillBody(path, method) {
  const text = ui.oas3Selectors.requestBodyValue(path, method); // none before it is opened
  if (text) ui.oas3Actions.setRequestBodyValue({ value: text, pathMethod: [path, method] });
}

// An operation that is opened, or reset, gets the document's example; and `fillBody` comes here.
function onBody(original, system) {
  return ({ value, pathMethod: [path, method] }) => {
    const place = ["paths", path, method, "requestBody", "content", "application/json", "example"];
    const samples = system.specSelectors.specJson().getIn(place)?.toJS() ?? {};
    original({ value: filledBody(value, samples, path, method), pathMethod: [path, method] });
  };
}

function filledBody(text, samples, path, method) {
  let body;
  try {
    body = JSON.parse(text);
  } catch {
    return text; // being typed
  }
  if (body === null || typeof body !== "object") return text;
  const changes = {};
  for (const [name, sample] of Object.entries(samples)) {
    const value = valueOf(name, sample, path, method);
    const key = [method, path, name];
    if (name in body && mayReplace(body[name], sample, value, key)) changes[name] = value;
  }
  if (Object.keys(changes).length === 0) return text;
  return JSON.stringify({ ...body, ...changes }, null, 2);
}

// Only what is not typed, and only where it differs: each change draws the page again.
function mayReplace(shown, sample, value, key) {
  const same = (one, other) => JSON.stringify(one) === JSON.stringify(other);
  const ours = same(shown, sample) || same(shown, filled[key]);
  filled[key] = value;
  return ours && !same(shown, value);
}

function newTag() {
  return crypto.getRandomValues(new Uint32Array(1))[0].toString(36);
}
