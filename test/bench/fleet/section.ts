/** One number of the fleet. */
export interface Reading {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  /** What it is to be at most, and whether it is. */
  readonly goal?: { readonly atMost: number; readonly met: boolean };
}

/** How something went over time. */
export interface Curve {
  readonly name: string;
  readonly sampleMs: number;
  readonly values: readonly number[];
  /** What a full column stands for. */
  readonly full: number;
}

/** What was measured together. */
export interface Section {
  readonly title: string;
  readonly readings: readonly Reading[];
  readonly curves: readonly Curve[];
}

export function reading(name: string, value: number, unit: string, atMost?: number): Reading {
  if (atMost === undefined) return { name, value, unit };
  return { name, value, unit, goal: { atMost, met: value <= atMost } };
}
