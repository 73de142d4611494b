// Asks the server, and asks again when it is busy.

const TRIES = 6;

const pause = (seconds) => new Promise((done) => setTimeout(done, 1000 * seconds));

/** The answer to a GET; an error says what the server says. */
export async function ask(address, { signal } = {}) {
  for (let tries = 1; ; tries += 1) {
    const response = await fetch(address, { signal, credentials: "same-origin" });
    if (response.ok) return response;
    const busy = response.status === 503 || response.status === 429;
    if (!busy || tries === TRIES) throw new Error(await problem(response));
    await pause(Number(response.headers.get("Retry-After")) || 1);
  }
}

async function problem(response) {
  try {
    const { error } = await response.json();
    return error.hint ? `${error.message}: ${error.hint}` : error.message;
  } catch {
    return `the server answered ${response.status}`;
  }
}

/** An address of the server, with what of the query is given. */
export function address(root, path, query = {}) {
  const given = Object.entries(query).filter(([, value]) => value !== "" && value != null);
  const text = new URLSearchParams(given).toString();
  return `${root}${path}${text ? `?${text}` : ""}`;
}
