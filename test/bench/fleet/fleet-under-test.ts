import type { FleetProcess } from './fleet-process.js';
import type { FleetCourse } from './messages.js';
import type { Machines } from './nodes.js';

/** The fleet, and what it is connected to. */
export interface FleetUnderTest {
  readonly fleet: FleetProcess;
  readonly course: FleetCourse;
  readonly machines: Machines;
}
