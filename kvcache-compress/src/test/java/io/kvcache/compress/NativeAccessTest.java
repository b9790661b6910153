package io.kvcache.compress;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.kvcache.DType;
import io.kvcache.KvHalf;
import io.kvcache.KvShape;
import io.kvcache.spi.Compressor;
import io.kvcache.spi.MalformedDataException;
import io.kvcache.testkit.KvSamples;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;

/** What is left where native access is denied. */
class NativeAccessTest {
  /** Goal: no crash, LZ4 in Java, and a word on what Zstandard needs. Method: a JVM of its own. */
  @Test
  void deniedAccessLeavesLz4AndSaysWhatZstdNeeds() throws IOException, InterruptedException {
    Process process = new ProcessBuilder(
        Path.of(System.getProperty("java.home"), "bin", "java").toString(), "--illegal-native-access=deny",
        "-cp", System.getProperty("java.class.path"), Denied.class.getName())
        .redirectErrorStream(true).start();
    String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    assertEquals(0, process.waitFor(), output);
    assertTrue(output.contains("zstd needs native code; start the JVM with --enable-native-access="), output);
    assertTrue(output.contains("lz4 is exact"), output);
  }

  /** Runs in the JVM of the test above. */
  static final class Denied {
    private Denied() {}

    public static void main(String[] arguments) throws MalformedDataException {
      for (int attempt = 0; attempt < 2; attempt++) {
        try {
          Compressors.zstd();
          throw new AssertionError("zstd was made");
        } catch (IllegalStateException e) {
          System.out.println(e.getMessage());
        }
      }
      List<String> left = Compressors.all().stream().map(Compressor::name).toList();
      if (left.contains("zstd") || !left.contains("lz4") || !left.contains("int4")) {
        throw new AssertionError(left.toString());
      }
      KvShape shape = new KvShape(KvHalf.KEYS, 64, 2, 32, DType.BF16);
      MemorySegment half = KvSamples.REALISTIC.fill(shape, 1);
      Compressor lz4 = Compressors.lz4();
      MemorySegment room = MemorySegment.ofArray(new byte[(int) lz4.maxStoredBytes(shape)]);
      MemorySegment back = MemorySegment.ofArray(new byte[(int) shape.bytes()]);
      lz4.decompress(shape, 0, room.asSlice(0, lz4.compress(shape, half, room)), back);
      System.out.println(half.mismatch(back) == -1 ? "lz4 is exact" : "lz4 is wrong");
    }
  }
}
