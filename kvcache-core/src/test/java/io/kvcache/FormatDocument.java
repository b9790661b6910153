package io.kvcache;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;

/** {@code FORMAT.md}, whose vectors and dumps tests compare with what the code does. */
public final class FormatDocument {
  private FormatDocument() {}

  /** Its lines. */
  public static List<String> lines() throws IOException {
    return Files.readAllLines(Path.of("..", "FORMAT.md"));
  }

  /** The bytes of every hex dump, in order: lines of an address, up to 16 bytes, and the same as text. */
  public static List<byte[]> dumps() throws IOException {
    List<byte[]> dumps = new ArrayList<>();
    StringBuilder hex = new StringBuilder();
    for (String line : lines()) {
      if (line.matches("[0-9a-f]{4}  [0-9a-f]{2}[ 0-9a-f]* {2}.*")) {
        hex.append(line, 6, Math.min(line.length(), 53));
      } else if (!hex.isEmpty()) {
        dumps.add(HexFormat.of().parseHex(hex.toString().replace(" ", "")));
        hex.setLength(0);
      }
    }
    return dumps;
  }
}
