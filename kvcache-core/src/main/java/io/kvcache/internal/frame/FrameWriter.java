package io.kvcache.internal.frame;

import io.kvcache.KvHalf;
import io.kvcache.KvShape;
import io.kvcache.LayerSpec;
import io.kvcache.spi.Compressor;
import io.kvcache.spi.MalformedDataException;
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
  private final HalfTable halves;

  /** A writer into {@code write}, which was claimed with the plan's {@link FramePlan#maxPartBytes}. */
  public FrameWriter(FramePlan plan, Compressor compressor, TierWrite write) {
    this.plan = plan;
    this.compressor = compressor;
    this.write = write;
    this.halves = new HalfTable(plan);
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
    if (compressor.codec() == Codecs.RAW) {
      int crc = Checksums.copy(source, slot);
      halves.set(layer, half, shape.bytes(), crc, crc);
      return shape.bytes();
    }
    long stored = compressor.compress(shape, source, slot);
    halves.set(layer, half, stored, Checksums.crc(slot.asSlice(0, stored)), Checksums.crc(source));
    return stored;
  }

  /**
   * Checks that what was written is the content another frame was made of.
   *
   * @throws MalformedDataException when the other frame decoded to something else
   */
  public void requireContentOf(FrameHeader other) throws MalformedDataException {
    for (int layer = 0; layer < plan.layers(); layer++) {
      for (KvHalf half : KvHalf.values()) {
        int crc = halves.contentCrc(layer, half);
        Preamble.require(crc == other.halves().contentCrc(layer, half),
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
   */
  public long commit(FrameHeader.Fields fields) throws IOException {
    long[] partBytes = new long[plan.parts()];
    partBytes[0] = FrameHeader.denseBytes(plan);
    long total = partBytes[0];
    for (int group = 0; group < plan.groups(); group++) {
      MemorySegment part = write.part(1 + group);
      long length = makeDense(part, group);
      Preamble.write(part, fields.id(), fields.generation(), fields.codec(), 1 + group, length);
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
        if (plan.layout().layer(layer).rowBytes(half) > 0) {
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
    long from = plan.slotOffset(compressor, layer, half);
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
