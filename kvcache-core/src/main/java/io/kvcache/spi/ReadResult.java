package io.kvcache.spi;

import java.util.Objects;

/** What became of reading one part. None of these is an exception: the cache turns all but one into a miss. */
public sealed interface ReadResult {
  /**
   * The part's bytes are in the target, as stored; the caller verifies them.
   *
   * @param bytes length of the part
   */
  record Present(long bytes) implements ReadResult {}

  /** The tier has no such entry or part, or the target is too small for it. */
  record Missing() implements ReadResult {}

  /**
   * The medium failed or gave something the tier itself recognises as damaged.
   *
   * @param cause what happened
   */
  record Unreadable(Exception cause) implements ReadResult {
    /** Checks the component. */
    public Unreadable {
      Objects.requireNonNull(cause, "cause");
    }
  }
}
