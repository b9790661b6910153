package io.kvcache.spi;

import io.kvcache.Encoding;
import java.util.List;

/** The codecs of a cache and its layout, as far as decisions rest on them. Immutable. */
public interface Codings {
  /** Numbers of all codecs, ascending; 0, raw, is always among them. */
  List<Integer> codecs();

  /** A short name for metrics and reports, such as {@code keydiff-50+int4}. */
  String name(Encoding encoding);

  /** Whether decoding gives back every byte. */
  boolean exact(Encoding encoding);

  /** Whether chunks can be stored so: the codec is known, and tokens of the layout can be ranked so. */
  boolean supports(Encoding encoding);

  /** Quality assumed of a context nobody has profiled, 0 to 1. */
  double nominalQuality(Encoding encoding);

  /** Bytes one chunk is expected to take; for a lossless codec, whose gain depends on the content, without gain. */
  long expectedChunkBytes(Encoding encoding);

  /**
   * Whether chunks stored as {@code from} can be encoded as {@code to}: exact bytes can in any way; kept rows that are
   * exact by another codec; and what a codec has rounded by one that rounds more, whose error then adds to the first.
   */
  boolean reencodable(Encoding from, Encoding to);
}
