package io.kvcache.internal.frame;

import io.kvcache.DropMethod;
import io.kvcache.KvHalf;
import io.kvcache.KvLayout;
import io.kvcache.KvShape;
import io.kvcache.LayerSpec;
import io.kvcache.internal.prune.Kept;
import io.kvcache.spi.Compressor;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;

/**
 * How the frames of one layout are divided: part 0 is the header, every further part a group of layers. A group is
 * one layer when that is at least 1 MiB, else as many smaller ones as reach 1 MiB: the unit of I/O, not of
 * verification. The division depends on the layout alone, whatever the encoding, and is part of the format. Scores,
 * where a frame carries them, are one more part behind the groups.
 */
public final class FramePlan {
  /** Bytes, not compressed, at which a group is full, and a layer a group of its own. */
  private static final long GROUP_BYTES = 1 << 20;

  private final KvLayout layout;
  private final byte[] fingerprint;
  private final int[] firstLayers;
  private final int[] groupOfLayer;

  /** The plan of {@code layout}; {@code encodedLayout} are the bytes its fingerprint is taken of. */
  public FramePlan(KvLayout layout, byte[] encodedLayout) {
    this.layout = layout;
    this.fingerprint = sha256(encodedLayout);
    this.groupOfLayer = new int[layout.layers().size()];
    List<Integer> firsts = new ArrayList<>();
    long bytes = GROUP_BYTES;
    for (int layer = 0; layer < groupOfLayer.length; layer++) {
      if (bytes >= GROUP_BYTES || layerBytes(layer) >= GROUP_BYTES) {
        firsts.add(layer);
        bytes = 0;
      }
      groupOfLayer[layer] = firsts.size() - 1;
      bytes += layerBytes(layer);
    }
    firstLayers = firsts.stream().mapToInt(Integer::intValue).toArray();
  }

  private long layerBytes(int layer) {
    LayerSpec spec = layout.layer(layer);
    return (long) (spec.keyRowBytes() + spec.valueRowBytes()) * layout.chunkTokens();
  }

  /** The layout. */
  public KvLayout layout() {
    return layout;
  }

  byte[] fingerprint() {
    return fingerprint;
  }

  /** Layers of the layout. */
  public int layers() {
    return groupOfLayer.length;
  }

  /** Groups of layers. */
  public int groups() {
    return firstLayers.length;
  }

  /** Parts of a frame without scores: the header and the groups. Scores are the part with this number. */
  public int parts() {
    return 1 + groups();
  }

  /** The number of the part that holds {@code layer}. */
  public int partOf(int layer) {
    return 1 + groupOfLayer[layer];
  }

  int firstLayer(int group) {
    return firstLayers[group];
  }

  int layersOf(int group) {
    return (group + 1 < firstLayers.length ? firstLayers[group + 1] : layers()) - firstLayers[group];
  }

  /** Most bytes each part may have of a frame that keeps every token. */
  public long[] maxPartBytes(Compressor compressor) {
    return maxPartBytes(compressor, Set.of());
  }

  /** Most bytes each part may have of a frame that keeps every token and carries scores for these methods. */
  public long[] maxPartBytes(Compressor compressor, Set<DropMethod> scored) {
    return maxPartBytes(compressor, null, scored);
  }

  /** Most bytes each part may have of a frame that keeps these tokens. */
  public long[] maxPartBytes(Compressor compressor, Kept kept) {
    return maxPartBytes(compressor, kept, Set.of());
  }

  /** Most bytes each part may have of any frame by this codec, whatever it keeps and carries. */
  public long[] mostPartBytes(Compressor compressor) {
    long[] bytes = maxPartBytes(compressor, ChunkScores.allMethods());
    bytes[0] += Kept.encodedBytes(layout, false);
    return bytes;
  }

  private long[] maxPartBytes(Compressor compressor, Kept kept, Set<DropMethod> scored) {
    long[] bytes = new long[parts() + (scored.isEmpty() ? 0 : 1)];
    bytes[0] = FrameHeader.bytes(this, kept);
    for (int group = 0; group < groups(); group++) {
      long at = Preamble.BYTES;
      for (int layer = firstLayer(group); layer < firstLayer(group) + layersOf(group); layer++) {
        for (KvHalf half : KvHalf.values()) {
          at += slotBytes(compressor, kept, layer, half);
        }
      }
      bytes[1 + group] = at;
    }
    if (!scored.isEmpty()) {
      bytes[parts()] = scoresPartBytes(scored);
    }
    return bytes;
  }

  long scoresPartBytes(Set<DropMethod> scored) {
    return Preamble.BYTES + ChunkScores.payloadBytes(layout, scored);
  }

  /**
   * The shape of a half as it is encoded.
   *
   * @param kept what is kept; null for every token
   * @return null for a half without bytes
   */
  KvShape shape(Kept kept, int layer, KvHalf half) {
    LayerSpec spec = layout.layer(layer);
    int rows = kept == null ? layout.chunkTokens() : kept.count(layer);
    return rows == 0 || spec.rowBytes(half) == 0 ? null : spec.shape(half, rows);
  }

  /** Where in its part a half is encoded to, before the part is made dense. */
  long slotOffset(Compressor compressor, Kept kept, int layer, KvHalf half) {
    long at = Preamble.BYTES;
    for (int before = firstLayer(groupOfLayer[layer]); before < layer; before++) {
      at += slotBytes(compressor, kept, before, KvHalf.KEYS)
          + slotBytes(compressor, kept, before, KvHalf.VALUES);
    }
    return half == KvHalf.KEYS ? at : at + slotBytes(compressor, kept, layer, KvHalf.KEYS);
  }

  long slotBytes(Compressor compressor, Kept kept, int layer, KvHalf half) {
    KvShape shape = shape(kept, layer, half);
    return shape == null ? 0 : Wire.align64(compressor.maxStoredBytes(shape));
  }

  private static byte[] sha256(byte[] bytes) {
    try {
      return MessageDigest.getInstance("SHA-256").digest(bytes);
    } catch (NoSuchAlgorithmException impossible) {
      throw new AssertionError("every Java platform has SHA-256", impossible);
    }
  }
}
