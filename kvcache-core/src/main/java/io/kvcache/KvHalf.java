package io.kvcache;

/** Keys or values: the two halves of a layer, each with its own checksum. */
public enum KvHalf {
  /** The key half. */
  KEYS,
  /** The value half. */
  VALUES
}
