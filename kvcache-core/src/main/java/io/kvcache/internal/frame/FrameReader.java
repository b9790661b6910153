package io.kvcache.internal.frame;

import io.kvcache.KvHalf;
import io.kvcache.internal.prune.Kept;
import io.kvcache.spi.EntryId;
import io.kvcache.spi.MalformedDataException;
import java.lang.foreign.MemorySegment;

/**
 * Reads verified KV out of parts. Every call compares identity and checksum before it gives a byte away; nothing is
 * remembered as verified.
 */
public final class FrameReader {
  private final FrameHeader header;
  private final Codecs codecs;
  private final EntryId id;
  private final long generation;

  /**
   * A reader of the frame with this header.
   *
   * @throws MalformedDataException when the encoding is not known or not as exact as the frame's class says, or a
   *     half is too long for it
   */
  public FrameReader(FrameHeader header, Codecs codecs, EntryId id, long generation)
      throws MalformedDataException {
    codecs.requireFits(header, id.variantClass());
    this.header = header;
    this.codecs = codecs;
    this.id = id;
    this.generation = generation;
  }

  /** The frame's header. */
  public FrameHeader header() {
    return header;
  }

  /** The tokens that are kept; null for every token. */
  public Kept kept() {
    return header.kept();
  }

  /** Whether rows can be used where they lie. */
  public boolean raw() {
    return header.encoding().codec() == Codecs.RAW;
  }

  /**
   * Looks at one layer.
   *
   * @param part the part that holds it
   * @throws MalformedDataException when that is not just this part of just this frame
   */
  public Layer layer(MemorySegment part, int layer) throws MalformedDataException {
    requirePart(part, header.plan().partOf(layer));
    return new Layer(part, layer);
  }

  private void requirePart(MemorySegment part, int number) throws MalformedDataException {
    long length = Preamble.verify(part, id, generation, number);
    int codec = header.encoding().codec();
    if (length != header.partBytes(number) || Preamble.codec(part) != codec) {
      throw new MalformedDataException("part " + number + " has " + length + " bytes of codec "
          + Preamble.codec(part) + ", expected " + header.partBytes(number) + " of codec " + codec);
    }
  }

  /**
   * Reads the scores the frame carries.
   *
   * @param part the last part
   * @throws MalformedDataException when that is not just this part of just this frame
   * @throws IllegalStateException when the frame carries none
   */
  public ChunkScores scores(MemorySegment part) throws MalformedDataException {
    if (header.scored().isEmpty()) {
      throw new IllegalStateException("the frame carries no scores");
    }
    int number = header.plan().parts();
    requirePart(part, number);
    MemorySegment stored = part.asSlice(Preamble.BYTES, header.partBytes(number) - Preamble.BYTES);
    return ChunkScores.read(header.plan().layout(), header.scored(), stored, header.scoresCrc());
  }

  /** Verifies everything a part behind the header holds but the zeros between halves; returns its length. */
  public long verifyPart(MemorySegment part, int number) throws MalformedDataException {
    if (number == header.plan().parts()) {
      scores(part);
      return header.partBytes(number);
    }
    int first = header.plan().firstLayer(number - 1);
    for (int at = first; at < first + header.plan().layersOf(number - 1); at++) {
      Layer layer = layer(part, at);
      layer.stored(KvHalf.KEYS);
      layer.stored(KvHalf.VALUES);
    }
    return header.partBytes(number);
  }

  /** One layer in a part whose identity was compared. */
  public final class Layer {
    private final MemorySegment part;
    private final int layer;

    private Layer(MemorySegment part, int layer) {
      this.part = part;
      this.layer = layer;
    }

    /**
     * Decodes one half into {@code target}.
     *
     * @param target exactly the half's uncompressed bytes; none for a half without elements
     * @throws MalformedDataException when the bytes are not those that were stored; the target is then undefined
     * @throws IllegalStateException when the frame drops tokens
     */
    public void decode(KvHalf half, MemorySegment target) throws MalformedDataException {
      if (header.kept() != null) {
        throw new IllegalStateException("the frame has " + header.kept() + " of the tokens, not all");
      }
      decodeKept(half, target);
    }

    /**
     * Decodes the rows of one half that are stored, {@code [kept][kvHead][dim]}: all where none are dropped.
     *
     * @param target exactly {@link FrameHeader#rows} rows
     * @throws MalformedDataException when the bytes are not those that were stored; the target is then undefined
     */
    public void decodeKept(KvHalf half, MemorySegment target) throws MalformedDataException {
      MemorySegment stored = locate(half);
      if (stored.byteSize() == 0) {
        return;
      }
      if (raw()) {
        requireCrc(Checksums.copy(stored, target), half);
      } else {
        requireCrc(Checksums.crc(stored), half);
        codecs.decode(header, header.plan().shape(header.kept(), layer, half), stored, target);
      }
    }

    /** Bytes of both halves as they are stored. */
    public long storedBytes() {
      return header.halves().storedBytes(layer, KvHalf.KEYS)
          + header.halves().storedBytes(layer, KvHalf.VALUES);
    }

    /** One half as it is stored, verified. */
    public MemorySegment stored(KvHalf half) throws MalformedDataException {
      MemorySegment stored = locate(half);
      if (stored.byteSize() > 0) {
        requireCrc(Checksums.crc(stored), half);
      }
      return stored;
    }

    private MemorySegment locate(KvHalf half) {
      long stored = header.halves().storedBytes(layer, half);
      return part.asSlice(stored == 0 ? 0 : header.offset(layer, half), stored);
    }

    private void requireCrc(int computed, KvHalf half) throws MalformedDataException {
      int expected = header.halves().storedCrc(layer, half);
      if (computed != expected) {
        throw new MalformedDataException("checksum of the %s of layer %d is %08x, expected %08x"
            .formatted(half, layer, computed, expected));
      }
    }
  }
}
