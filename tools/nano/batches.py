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
        ids, weights = [], []
        for at in range(40):  # so many documents are tried before the rest of the row is padding
            if at < len(self.waiting):
                document = self.waiting[at]
            else:
                document = self.next_document()
                if len(document[0]) > self.length:
                    continue
                self.waiting.append(document)
            if len(ids) + len(document[0]) <= self.length:
                ids += document[0]
                weights += document[1]
                self.waiting[at] = None
                if self.length - len(ids) < 12:
                    break
            elif len(self.waiting) > 12:
                break
        self.waiting = [document for document in self.waiting if document is not None]
        rest = self.length - len(ids)
        return ids + [self.padding_id] * rest, weights + [0.0] * rest

    def batch(self, rows):
        """`(ids, weights)` as tensors `[rows, length]`; the weight stands at the token that is to be predicted."""
        drawn = [self._row() for _ in range(rows)]
        return torch.tensor([ids for ids, _ in drawn]), torch.tensor([weights for _, weights in drawn])
