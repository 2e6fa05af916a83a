import java.io.DataInputStream;
import java.io.EOFException;
import java.io.FileInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.util.zip.GZIPInputStream;

/** Lists a .tgz as Java's own gzip reader sees it: "SIZE NAME" for each entry that is no header. */
public class Names {
    private static byte[] content(DataInputStream in, long size) throws IOException {
        byte[] data = new byte[(int) ((size + 511) / 512 * 512)];
        in.readFully(data);
        return data;
    }

    private static String text(byte[] block, int from, int length) {
        int end = from;
        while (end < from + length && block[end] != 0) {
            end++;
        }
        return new String(block, from, end - from, StandardCharsets.UTF_8);
    }

    public static void main(String[] args) throws IOException {
        try (InputStream file = new FileInputStream(args[0]);
             DataInputStream in = new DataInputStream(new GZIPInputStream(file))) {
            byte[] block = new byte[512];
            String path = null;
            Long paxSize = null;
            while (true) {
                in.readFully(block);
                if (block[0] == 0) {
                    break;
                }
                long size = Long.parseLong(text(block, 124, 12).trim(), 8);
                char type = (char) block[156];
                if (type == 'x' || type == 'g') {
                    byte[] data = content(in, size);
                    for (int at = 0; type == 'x' && at < size; ) {
                        int space = at;
                        while (data[space] != ' ') {
                            space++;
                        }
                        int length = Integer.parseInt(new String(data, at, space - at,
                                StandardCharsets.UTF_8));
                        String record = new String(data, space + 1, at + length - space - 2,
                                StandardCharsets.UTF_8);
                        if (record.startsWith("path=")) {
                            path = record.substring(5);
                        } else if (record.startsWith("size=")) {
                            paxSize = Long.valueOf(record.substring(5));
                        }
                        at += length;
                    }
                    continue;
                }
                String prefix = text(block, 345, 155);
                String name = path != null ? path
                        : prefix.isEmpty() ? text(block, 0, 100) : prefix + "/" + text(block, 0, 100);
                size = paxSize != null ? paxSize : size;
                long left = (size + 511) / 512 * 512;
                while (left > 0) {
                    int n = in.read(block, 0, (int) Math.min(left, 512));
                    if (n < 0) {
                        throw new EOFException(name);
                    }
                    left -= n;
                }
                System.out.println(size + " " + name);
                path = null;
                paxSize = null;
            }
            while (in.read(block) >= 0) {
                // To the last member's checksum.
            }
        }
    }
}
