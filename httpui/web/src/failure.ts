/** Failure is an answer that is no data, or the lack of any answer (status 0). */
export class Failure extends Error {
  constructor(
    readonly status: number,
    message: string,
    readonly hint = "",
    readonly evicted: unknown = undefined,
    /** Where a query is wrong, in characters from 1; 0 when it is not that. */
    readonly column = 0,
  ) {
    super(message);
  }
}
