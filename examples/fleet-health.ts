/*
 * Examines every node of a fleet step by step and says what is wrong, and what to do. `--help` says how.
 *
 * What is worth reading is in support/fleet-health/examine.ts: one dialer for all nodes, and what each of its errors
 * says of a node.
 */
import { asProcess } from './support/as-process.js';
import { fleetHealth } from './support/fleet-health/fleet-health.js';

await asProcess(fleetHealth);
