package io.kvcache.internal.frame;

import io.kvcache.Encoding;
import io.kvcache.KvHalf;
import io.kvcache.KvShape;
import io.kvcache.LayerSpec;
import io.kvcache.internal.prune.Gather;
import io.kvcache.internal.prune.Kept;
import io.kvcache.spi.Compressor;
import io.kvcache.spi.MalformedDataException;
import io.kvcache.spi.TierWrite;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Objects;
import java.util.stream.LongStream;

/**
 * Fills a claimed entry: halves in any order, each to a slot of its greatest possible size; at the commit parts are
 * made dense and the header is written last.
 *
 * <p>Threads: different halves may be written by different threads.
 */
public final class FrameWriter implements AutoCloseable {
  private final FramePlan plan;
  private final Compressor compressor;
  private final TierWrite write;
  private final Kept kept;
  private final HalfTable halves;
  private ChunkScores scores;
  private MemorySegment gathered;

  /** A writer into {@code write}, which was claimed with the plan's {@link FramePlan#maxPartBytes}. */
  public FrameWriter(FramePlan plan, Compressor compressor, TierWrite write) {
    this(plan, compressor, write, null);
  }

  /** A writer of these tokens alone; null for every token. */
  public FrameWriter(FramePlan plan, Compressor compressor, TierWrite write, Kept kept) {
    this.plan = plan;
    this.compressor = compressor;
    this.write = write;
    this.kept = kept;
    this.halves = new HalfTable(plan);
  }

  /**
   * Encodes one half of one layer. Returns bytes stored.
   *
   * @param source exactly the half's uncompressed bytes, of kept and other tokens
   */
  public long encode(int layer, KvHalf half, MemorySegment source) {
    KvShape shape = plan.shape(kept, layer, half);
    if (shape == null) {
      return 0;
    }
    if (kept == null) {
      return encodeRows(shape, layer, source, null);
    }
    int contentCrc = Checksums.crc(source);
    LayerSpec spec = plan.layout().layer(layer);
    if (compressor.codec() == Codecs.RAW) {
      MemorySegment slot = slot(layer, half).asSlice(0, shape.bytes());
      Gather.rows(spec, half, source, kept, layer, slot);
      halves.set(layer, half, shape.bytes(), Checksums.crc(slot), contentCrc);
      return shape.bytes();
    }
    synchronized (this) {
      MemorySegment rows = gathered(shape.bytes());
      Gather.rows(spec, half, source, kept, layer, rows);
      return encodeRows(shape, layer, rows, contentCrc);
    }
  }

  /** Room for the rows of one half, which the next half takes over: fresh memory for each costs more than the rows. */
  private MemorySegment gathered(long bytes) {
    if (gathered == null || gathered.byteSize() < bytes) {
      gathered = Arena.ofAuto().allocate(bytes, Preamble.BYTES);
    }
    return gathered.asSlice(0, bytes);
  }

  /**
   * Encodes the rows that another frame stores of a half. Its content is then what the other frame says, even where
   * its codec has changed the rows since.
   *
   * @param rows exactly what the other frame's half decodes to
   * @param from a frame that keeps the same tokens
   */
  public long reencode(int layer, KvHalf half, MemorySegment rows, FrameHeader from) {
    if (!Objects.equals(kept, from.kept())) {
      throw new IllegalArgumentException("the frame keeps " + kept + ", the other one " + from.kept());
    }
    KvShape shape = plan.shape(kept, layer, half);
    return shape == null ? 0 : encodeRows(shape, layer, rows, from.halves().contentCrc(layer, half));
  }

  /** Encodes rows; {@code contentCrc} is null where they are the content. */
  private long encodeRows(KvShape shape, int layer, MemorySegment rows, Integer contentCrc) {
    KvHalf half = shape.half();
    MemorySegment slot = slot(layer, half);
    if (compressor.codec() == Codecs.RAW) {
      int crc = Checksums.copy(rows, slot);
      halves.set(layer, half, shape.bytes(), crc, contentCrc == null ? crc : contentCrc);
      return shape.bytes();
    }
    long stored = compressor.compress(shape, rows, slot);
    halves.set(layer, half, stored, Checksums.crc(slot.asSlice(0, stored)),
        contentCrc == null ? Checksums.crc(rows) : contentCrc);
    return stored;
  }

  private MemorySegment slot(int layer, KvHalf half) {
    return write.part(plan.partOf(layer)).asSlice(plan.slotOffset(compressor, kept, layer, half),
        plan.slotBytes(compressor, kept, layer, half));
  }

  /**
   * Has the frame carry these scores; before the commit, and by the thread that commits. Room for them was claimed.
   *
   * @throws IllegalStateException when the frame drops tokens
   */
  public void scores(ChunkScores carried) {
    if (kept != null) {
      throw new IllegalStateException("a frame that drops tokens carries no scores");
    }
    scores = carried;
  }

  /**
   * Checks that what was written is the content another frame was made of, as far as rows of it are kept.
   *
   * @throws MalformedDataException when the other frame decoded to something else
   */
  public void requireContentOf(FrameHeader other) throws MalformedDataException {
    for (int layer = 0; layer < plan.layers(); layer++) {
      for (KvHalf half : KvHalf.values()) {
        int crc = halves.contentCrc(layer, half);
        boolean empty = plan.shape(kept, layer, half) == null;
        Preamble.require(empty || crc == other.halves().contentCrc(layer, half),
            "the %s of layer %d decoded to content %08x, expected %08x", half, layer, crc,
            other.halves().contentCrc(layer, half));
      }
    }
  }

  /**
   * Publishes the entry.
   *
   * @return bytes of all parts
   * @throws IOException when the tier fails; nothing is then stored
   * @throws IllegalStateException when a half was not written
   * @throws IllegalArgumentException when the fields name another encoding than what was written is in
   */
  public long commit(FrameHeader.Fields fields) throws IOException {
    requireEncoding(fields.encoding());
    long[] partBytes = new long[plan.parts() + (scores == null ? 0 : 1)];
    partBytes[0] = FrameHeader.bytes(plan, kept);
    for (int group = 0; group < plan.groups(); group++) {
      partBytes[1 + group] = makeDense(write.part(1 + group), group);
    }
    if (scores != null) {
      MemorySegment payload = scores.payload();
      MemorySegment.copy(payload, 0, write.part(plan.parts()), Preamble.BYTES, payload.byteSize());
      partBytes[plan.parts()] = Preamble.BYTES + payload.byteSize();
    }
    for (int part = 1; part < partBytes.length; part++) {
      Preamble.write(write.part(part), fields.id(), fields.generation(), compressor.codec(), part,
          partBytes[part]);
    }
    FrameHeader.write(plan, write.part(0), fields, partBytes, halves, kept, scores);
    write.commit(partBytes);
    return LongStream.of(partBytes).sum();
  }

  private void requireEncoding(Encoding encoding) {
    if (encoding.codec() != compressor.codec() || encoding.dropsTokens() != (kept != null)
        || (kept != null && encoding.uniform() != kept.uniform())) {
      throw new IllegalArgumentException(
          encoding + " is not what was written by " + compressor.name() + ", keeping " + kept);
    }
  }

  private long makeDense(MemorySegment part, int group) {
    long end = Preamble.BYTES;
    int first = plan.firstLayer(group);
    for (int layer = first; layer < first + plan.layersOf(group); layer++) {
      for (KvHalf half : KvHalf.values()) {
        if (plan.shape(kept, layer, half) != null) {
          end = moveUp(part, end, layer, half);
        }
      }
    }
    return end;
  }

  /** Moves a half from its slot to where the one before it ends; returns where it ends itself. */
  private long moveUp(MemorySegment part, long end, int layer, KvHalf half) {
    long stored = halves.storedBytes(layer, half);
    if (stored == 0) {
      throw new IllegalStateException("the " + half + " of layer " + layer + " were not written");
    }
    long from = plan.slotOffset(compressor, kept, layer, half);
    long to = Wire.align64(end);
    if (to != from) {
      MemorySegment.copy(part, from, part, to, stored);
    }
    part.asSlice(end, to - end).fill((byte) 0);
    return to + stored;
  }

  /** Gives the claimed space back unless committed. */
  @Override
  public void close() {
    write.close();
  }
}
