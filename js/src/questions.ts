// Requests from the page to the kernel that may never be answered.

/** The kernel did not respond to a request. */
export class SilentKernelError extends Error {
  override readonly name = "SilentKernelError";
}

interface Wait<V> {
  promise: Promise<V>;
  resolve(value: V): void;
  reject(error: Error): void;
  timer: ReturnType<typeof setTimeout>;
}

const ANSWER_MS = 5000;

/** Pending requests of one kind by key; requests with the same key share one response. */
export class Questions<K, V> {
  readonly #send: (key: K) => void;
  readonly #waits = new Map<K, Wait<V>>();

  constructor(send: (key: K) => void) {
    this.#send = send;
  }

  /** Rejects with a NoResponseError on timeout. */
  ask(key: K): Promise<V> {
    const asked = this.#waits.get(key);
    if (asked) return asked.promise;
    let settle: Pick<Wait<V>, "resolve" | "reject"> | undefined;
    const promise = new Promise<V>((resolve, reject) => {
      settle = { resolve, reject };
    });
    const timer = setTimeout(() => {
      this.#waits.delete(key);
      settle?.reject(new SilentKernelError("The kernel does not answer."));
    }, ANSWER_MS);
    if (settle) this.#waits.set(key, { promise, timer, ...settle });
    this.#send(key);
    return promise;
  }

  answer(key: K, value: V): void {
    const wait = this.#waits.get(key);
    if (!wait) return;
    this.#waits.delete(key);
    clearTimeout(wait.timer);
    wait.resolve(value);
  }

  dispose(): void {
    for (const wait of this.#waits.values()) {
      clearTimeout(wait.timer);
      wait.reject(new SilentKernelError("The view was closed."));
    }
    this.#waits.clear();
  }
}
