// The circuit breaker: one process's canary traffic goes to stable after consecutive canary errors, counted in each
// half of the unit groups, so that no unit opens it alone. promptlane/client/breaker.py says why.

interface State {
  readonly releaseId: string;
  readonly errors: Readonly<Record<string, number>>;
  readonly openUntil: number;
}

/** Per prompt: closed until `threshold` canary errors in a row, half of them in each half (0: always closed). */
export class Breaker {
  readonly #each: number;
  readonly #cooldownMs: number;
  readonly #steady: () => number;
  readonly #prompts = new Map<string, State>();

  constructor(threshold: number, cooldownSeconds: number, steady: () => number) {
    this.#each = Math.ceil(threshold / 2);
    this.#cooldownMs = cooldownSeconds * 1000;
    this.#steady = steady;
  }

  /** Whether this canary call should go to stable. False for the one probe after each cooldown. */
  isOpen(prompt: string, releaseId: string): boolean {
    const state = this.#prompts.get(prompt);
    if (state?.releaseId !== releaseId || !this.#each) return false;
    if (["0", "1"].some((half) => (state.errors[half] ?? 0) < this.#each)) return false;
    const now = this.#steady();
    if (now < state.openUntil) return true;
    this.#prompts.set(prompt, { ...state, openUntil: now + this.#cooldownMs });
    return false;
  }

  /** Take note of a canary call that was made for a unit of this half. */
  record(prompt: string, releaseId: string, half: string, error: boolean): void {
    const state = this.#prompts.get(prompt);
    const errors = { ...(state?.releaseId === releaseId ? state.errors : {}) };
    let openUntil = state?.openUntil ?? 0;
    if (error) {
      errors[half] = (errors[half] ?? 0) + 1;
      openUntil = this.#steady() + this.#cooldownMs;
    } else delete errors[half];
    if (Object.keys(errors).length) this.#prompts.set(prompt, { releaseId, errors, openUntil });
    else this.#prompts.delete(prompt);
  }
}
