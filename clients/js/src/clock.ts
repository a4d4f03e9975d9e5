// Time by two clocks: a monotonic one, which a frozen process may stop, and the wall's, which may jump.

export interface Moment {
  /** Monotonic milliseconds. */
  readonly steady: number;
  /** Epoch milliseconds. */
  readonly wall: number;
}

/** The clocks; tests move their own. */
export interface Clock {
  steady(): number;
  wall(): number;
}

export const CLOCK: Clock = { steady: () => performance.now(), wall: () => Date.now() };

export function now(clock: Clock): Moment {
  return { steady: clock.steady(), wall: clock.wall() };
}

/** Milliseconds since a moment, by whichever clock says more. */
export function since(then: Moment, at: Moment): number {
  return Math.max(at.steady - then.steady, at.wall - then.wall);
}

/** Whether a moment lies at most so far back, which both clocks must say: a clock that was set back tells nothing. */
export function recent(then: Moment, at: Moment, ms: number): boolean {
  return at.steady - then.steady <= ms && at.wall >= then.wall && at.wall - then.wall <= ms;
}

/** Resolves to the promise's result, or to undefined after so many milliseconds. The promise goes on. */
export async function within<T>(promise: Promise<T>, ms: number): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(resolve, Math.max(ms, 0), undefined);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
