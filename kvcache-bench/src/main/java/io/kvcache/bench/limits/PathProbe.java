package io.kvcache.bench.limits;

/** A path of the library, which is judged by the limit it cannot exceed. */
interface PathProbe extends Probe {
  /** The family of the limit. */
  String limit();
}
