"""Documents packed into rows of equal length, with the weight of every token in the loss."""

import torch


class Packer:
    """Puts documents one behind the other into rows of `length` tokens; none is cut, the rest of a row is padding.

    `next_document()` gives `(ids, weights)` of a new document; longer ones than a row are drawn again.
    """

    def __init__(self, next_document, length, padding_id):
        self.next_document, self.length, self.padding_id = next_document, length, padding_id
        self.waiting = []  # documents that did not fit yet, tried first for the next rows

    def _row(self):
        row, room = [], self.length
        for document in self.waiting[:]:
            if len(document[0]) <= room:
                self.waiting.remove(document)
                row.append(document)
                room -= len(document[0])
        while room >= 12 and len(self.waiting) < 16:
            document = self.next_document()
            if len(document[0]) <= room:
                row.append(document)
                room -= len(document[0])
            elif len(document[0]) <= self.length:
                self.waiting.append(document)
        ids = [id for document in row for id in document[0]]
        weights = [weight for document in row for weight in document[1]]
        numbers = [number for number, document in enumerate(row) for _ in document[0]]
        return ids + [self.padding_id] * room, weights + [0.0] * room, numbers + [-1] * room

    def batch(self, rows):
        """Tensors `[rows, length]`: ids, weights, and the numbers of the documents within their row.

        The weight stands at the token that is to be predicted.
        """
        drawn = [self._row() for _ in range(rows)]
        return tuple(torch.tensor([row[part] for row in drawn]) for part in range(3))
