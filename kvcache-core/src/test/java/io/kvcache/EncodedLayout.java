package io.kvcache;

/** Gives tests of other packages the bytes a layout's fingerprint is taken of. */
public final class EncodedLayout {
  private EncodedLayout() {}

  /** As in keys and frames. */
  public static byte[] of(KvLayout layout) {
    return layout.encoded();
  }
}
