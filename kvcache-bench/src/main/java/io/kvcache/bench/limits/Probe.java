package io.kvcache.bench.limits;

import java.io.IOException;

/** Something whose throughput is measured, one pass after the other on one thread. */
interface Probe {
  /** What is measured, such as {@code disk read}; the best of a family's variants counts as its limit. */
  String family();

  /** How it is measured, such as {@code 1 MiB x 2}; empty when there is but one way. */
  default String variant() {
    return "";
  }

  /** Gets ready for the next pass; this takes no part in the time. */
  default void prepare() throws IOException {}

  /**
   * The work that is timed.
   *
   * @return bytes of payload that it moved
   */
  long pass() throws IOException;

  /** Family and variant in one. */
  default String name() {
    return variant().isEmpty() ? family() : family() + ' ' + variant();
  }
}
