// Requests to the kernel that wait for an answer, which may never come.

/** A request that was not answered in time. */
export class SilentKernelError extends Error {
  override readonly name = "SilentKernelError";
}

interface Pending<V> {
  promise: Promise<V>;
  resolve(value: V): void;
  reject(error: Error): void;
  timer: ReturnType<typeof setTimeout>;
}

const ANSWER_MS = 5000;

/** Pending requests of one kind by key; concurrent requests for one key share an answer. */
export class PendingRequests<K, V> {
  readonly #send: (key: K) => void;
  readonly #pending = new Map<K, Pending<V>>();

  constructor(send: (key: K) => void) {
    this.#send = send;
  }

  /** Rejects with a SilentKernelError if there is no answer in time. */
  request(key: K): Promise<V> {
    const pending = this.#pending.get(key);
    if (pending) return pending.promise;
    let settle: Pick<Pending<V>, "resolve" | "reject"> | undefined;
    const promise = new Promise<V>((resolve, reject) => {
      settle = { resolve, reject };
    });
    const timer = setTimeout(() => {
      this.#pending.delete(key);
      settle?.reject(new SilentKernelError("The kernel does not answer."));
    }, ANSWER_MS);
    if (settle) this.#pending.set(key, { promise, timer, ...settle });
    this.#send(key);
    return promise;
  }

  answer(key: K, value: V): void {
    const pending = this.#pending.get(key);
    if (!pending) return;
    this.#pending.delete(key);
    clearTimeout(pending.timer);
    pending.resolve(value);
  }

  dispose(): void {
    for (const pending of this.#pending.values()) {
      clearTimeout(pending.timer);
      pending.reject(new SilentKernelError("The view was closed."));
    }
    this.#pending.clear();
  }
}
