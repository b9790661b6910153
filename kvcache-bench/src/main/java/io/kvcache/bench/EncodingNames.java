package io.kvcache.bench;

import io.kvcache.DropMethod;
import io.kvcache.Encoding;
import io.kvcache.compress.Compressors;
import io.kvcache.spi.Compressor;
import java.util.Arrays;
import java.util.List;

/** Encodings as people write them: {@code int8}, {@code keydiff-50}, {@code h2o-30+int4}, {@code uniform-h2o-30}. */
public final class EncodingNames {
  private static final List<Compressor> CODECS = Compressors.all();
  private static final String RAW = "raw";
  private static final String UNIFORM = "uniform-";

  private EncodingNames() {}

  /** The name of an encoding. */
  public static String nameOf(Encoding encoding) {
    return encoding
        .name(CODECS.stream().filter(codec -> codec.codec() == encoding.codec()).map(Compressor::name)
            .findFirst().orElse(RAW));
  }

  /**
   * The encoding of a name.
   *
   * @throws IllegalArgumentException when there is none
   */
  public static Encoding parse(String name) {
    if (name.equals(RAW) || CODECS.stream().anyMatch(codec -> codec.name().equals(name))) {
      return Encoding.of(codec(name));
    }
    int plus = name.indexOf('+');
    boolean uniform = name.startsWith(UNIFORM);
    String dropping = name.substring(uniform ? UNIFORM.length() : 0, plus >= 0 ? plus : name.length());
    int dash = dropping.lastIndexOf('-');
    try {
      DropMethod method = Arrays.stream(DropMethod.values())
          .filter(each -> each != DropMethod.NONE && each.label().equals(dropping.substring(0, dash)))
          .findFirst()
          .orElseThrow(() -> unknown(name));
      int percent = Integer.parseInt(dropping.substring(dash + 1));
      Encoding all = Encoding.of(plus >= 0 ? codec(name.substring(plus + 1)) : Encoding.RAW.codec());
      return uniform ? all.keepingUniformly(method, percent) : all.keeping(method, percent);
    } catch (IndexOutOfBoundsException | NumberFormatException malformed) {
      throw unknown(name);
    }
  }

  private static int codec(String name) {
    return name.equals(RAW)
        ? Encoding.RAW.codec()
        : CODECS.stream().filter(codec -> codec.name().equals(name)).findFirst()
            .orElseThrow(() -> unknown(name))
            .codec();
  }

  private static IllegalArgumentException unknown(String name) {
    return new IllegalArgumentException("'" + name + "' is not an encoding such as raw, int8, keydiff-50 or"
        + " h2o-30+int4");
  }
}
