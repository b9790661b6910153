package io.kvcache.internal.frame;

import io.kvcache.KvHalf;
import io.kvcache.KvShape;
import io.kvcache.LayerSpec;
import io.kvcache.spi.Compressor;
import io.kvcache.spi.TierWrite;
import java.io.IOException;
import java.lang.foreign.MemorySegment;

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
  private final int[] halves;

  /** A writer into {@code write}, which was claimed with the plan's {@link FramePlan#maxPartBytes}. */
  public FrameWriter(FramePlan plan, Compressor compressor, TierWrite write) {
    this.plan = plan;
    this.compressor = compressor;
    this.write = write;
    this.halves = new int[plan.layers() * 6];
  }

  /** Encodes one half of one layer; {@code source} is exactly its uncompressed bytes. Returns bytes stored. */
  public long encode(int layer, KvHalf half, MemorySegment source) {
    LayerSpec spec = plan.layout().layer(layer);
    if (spec.rowBytes(half) == 0) {
      return 0;
    }
    KvShape shape = spec.shape(half, plan.layout().chunkTokens());
    long offset = plan.slotOffset(compressor, layer, half);
    MemorySegment slot =
        write.part(plan.partOf(layer)).asSlice(offset, plan.slotBytes(compressor, layer, half));
    long stored;
    int crc;
    if (compressor.codec() == Codecs.RAW) {
      stored = shape.bytes();
      crc = Checksums.copy(source, slot);
    } else {
      stored = compressor.compress(shape, source, slot);
      crc = Checksums.crc(slot.asSlice(0, stored));
    }
    int at = halfIndex(layer, half);
    halves[at] = Math.toIntExact(offset);
    halves[at + 1] = Math.toIntExact(stored);
    halves[at + 2] = crc;
    return stored;
  }

  /**
   * Publishes the entry.
   *
   * @return bytes of all parts
   * @throws IOException when the tier fails; nothing is then stored
   */
  public long commit(FrameHeader.Fields fields) throws IOException {
    long[] partBytes = new long[plan.parts()];
    partBytes[0] = FrameHeader.denseBytes(plan);
    long total = partBytes[0];
    for (int group = 0; group < plan.groups(); group++) {
      MemorySegment part = write.part(1 + group);
      long length = makeDense(part, group);
      Preamble.write(part, fields.id(), fields.generation(), 1 + group, length);
      partBytes[1 + group] = length;
      total += length;
    }
    FrameHeader.write(plan, write.part(0), fields, partBytes, halves);
    write.commit(partBytes);
    return total;
  }

  private long makeDense(MemorySegment part, int group) {
    long end = Preamble.BYTES;
    int first = plan.firstLayer(group);
    for (int layer = first; layer < first + plan.layersOf(group); layer++) {
      for (KvHalf half : KvHalf.values()) {
        int at = halfIndex(layer, half);
        int stored = halves[at + 1];
        if (stored > 0) {
          long to = Wire.align64(end);
          if (to != halves[at]) {
            MemorySegment.copy(part, halves[at], part, to, stored);
            halves[at] = Math.toIntExact(to);
          }
          part.asSlice(end, to - end).fill((byte) 0);
          end = to + stored;
        }
      }
    }
    return end;
  }

  private static int halfIndex(int layer, KvHalf half) {
    return (layer * 2 + half.ordinal()) * 3;
  }

  /** Gives the claimed space back unless committed. */
  @Override
  public void close() {
    write.close();
  }
}
