/** Thrown at a wait once the machine was asked to abort: unwinds the task; caught by whoever runs it, nowhere else. */
export class MachineAborted extends Error {
  override name = 'MachineAborted';
  constructor() {
    super('the simulated machine was stopped');
  }
}
