// Command sumdb checks a log's folder with golang.org/x/mod's note and tlog packages: the checkpoint's signature, every
// tile, every entry, and proofs of inclusion and consistency. It prints the size, or says what is wrong and fails.
//
//	sumdb FOLDER VKEY
package main

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const height = 8

// files reads tiles where C2SP's tlog-tiles has them: without the height, which is always 8.
type files struct{ folder string }

func (f files) Height() int { return height }

func (f files) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	var all [][]byte
	for _, tile := range tiles {
		path := strings.Replace(tile.Path(), "tile/8/", "tile/", 1)
		data, err := os.ReadFile(filepath.Join(f.folder, filepath.FromSlash(path)))
		if err != nil {
			return nil, err
		}
		all = append(all, data)
	}
	return all, nil
}

func (f files) SaveTiles([]tlog.Tile, [][]byte) {}

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: sumdb FOLDER VKEY")
		os.Exit(2)
	}
	size, err := check(os.Args[1], os.Args[2])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(size)
}

func check(folder, vkey string) (int64, error) {
	tree, err := openCheckpoint(filepath.Join(folder, "checkpoint"), vkey)
	if err != nil {
		return 0, err
	}
	if tree.N == 0 {
		return 0, nil
	}
	reader := tlog.TileHashReader(tree, files{folder})
	if root, err := tlog.TreeHash(tree.N, reader); err != nil || root != tree.Hash {
		return 0, fmt.Errorf("the tiles do not hash to the signed root: %v", err)
	}
	if err := checkEntries(folder, tree, reader); err != nil {
		return 0, err
	}
	return tree.N, checkGrowth(tree, reader)
}

func openCheckpoint(path, vkey string) (tlog.Tree, error) {
	var tree tlog.Tree
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		return tree, err
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return tree, err
	}
	opened, err := note.Open(data, note.VerifierList(verifier))
	if err != nil {
		return tree, err
	}
	lines := strings.Split(opened.Text, "\n")
	if len(lines) != 4 || lines[0] != verifier.Name() || lines[3] != "" {
		return tree, fmt.Errorf("%q is not the text of a checkpoint of %s", opened.Text, verifier.Name())
	}
	root, err := base64.StdEncoding.DecodeString(lines[2])
	if err != nil || len(root) != tlog.HashSize {
		return tree, fmt.Errorf("%q is not a root", lines[2])
	}
	tree.N, err = strconv.ParseInt(lines[1], 10, 64)
	copy(tree.Hash[:], root)
	return tree, err
}

// checkEntries proves the inclusion of the entries around every power of two and of one in a hundred, and compares
// the others with their hashes in the tree.
func checkEntries(folder string, tree tlog.Tree, reader tlog.HashReader) error {
	for first := int64(0); first < tree.N; first += 1 << height {
		entries, err := readBundle(folder, first>>height, min(tree.N-first, 1<<height))
		if err != nil {
			return err
		}
		var places []int64
		for offset := range entries {
			places = append(places, tlog.StoredHashIndex(0, first+int64(offset)))
		}
		hashes, err := reader.ReadHashes(places)
		if err != nil {
			return err
		}
		for offset, entry := range entries {
			index := first + int64(offset)
			if tlog.RecordHash(entry) != hashes[offset] {
				return fmt.Errorf("entry %d is not the one in the tree", index)
			}
			if index%100 == 0 || index&(index+1) == 0 || index&(index-1) == 0 || index == tree.N-1 {
				if err := checkInclusion(tree, reader, index, entry); err != nil {
					return fmt.Errorf("entry %d: %v", index, err)
				}
			}
		}
	}
	return nil
}

func checkInclusion(tree tlog.Tree, reader tlog.HashReader, index int64, entry []byte) error {
	proof, err := tlog.ProveRecord(tree.N, index, reader)
	if err != nil {
		return err
	}
	return tlog.CheckRecord(proof, tree.N, tree.Hash, index, tlog.RecordHash(entry))
}

func readBundle(folder string, number, width int64) ([][]byte, error) {
	tile := tlog.Tile{H: height, L: 0, N: number, W: int(width)}
	path := strings.Replace(tile.Path(), "tile/8/0/", "tile/entries/", 1)
	data, err := os.ReadFile(filepath.Join(folder, filepath.FromSlash(path)))
	if err != nil {
		return nil, err
	}
	var entries [][]byte
	for len(data) >= 2 && int(binary.BigEndian.Uint16(data)) <= len(data)-2 {
		end := 2 + int(binary.BigEndian.Uint16(data))
		entries = append(entries, data[2:end])
		data = data[end:]
	}
	if len(data) != 0 || int64(len(entries)) != width {
		return nil, fmt.Errorf("%s holds %d entries and %d bytes more, not %d entries", path, len(entries), len(data), width)
	}
	return entries, nil
}

// checkGrowth proves that the tree begins with every tree around a power of two.
func checkGrowth(tree tlog.Tree, reader tlog.HashReader) error {
	for power := int64(1); power <= tree.N; power *= 2 {
		for _, old := range []int64{power - 1, power, power + 1} {
			if old < 1 || old > tree.N {
				continue
			}
			root, err := tlog.TreeHash(old, reader)
			if err != nil {
				return err
			}
			proof, err := tlog.ProveTree(tree.N, old, reader)
			if err != nil {
				return err
			}
			if err := tlog.CheckTree(proof, tree.N, tree.Hash, old, root); err != nil {
				return fmt.Errorf("size %d: %v", old, err)
			}
		}
	}
	return nil
}
