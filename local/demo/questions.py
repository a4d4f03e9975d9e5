"""What the simulated customers ask: (how often, what the shop's search found, the question).

A third of them ask about gift cards and vouchers, since the demo's shop has just started to sell them. No case of the
regression suite mentions one: that is the gap through which version 3 goes.
"""

from __future__ import annotations

from typing import Final

QUESTIONS: Final[tuple[tuple[int, str, str], ...]] = (
    (6, "Order {order}: sent on 3 March with DPD, expected on 6 March.", "Where is my parcel for order {order}?"),
    (4, "Refunds reach the card within 5 working days after the parcel arrives.", "How long does a refund take?"),
    (4, "Order {order}: hiking boots, delivered 9 days ago.", "Can I return the boots from order {order}?"),
    (4, "Password reset: choose Forgot password on the sign-in page.", "I forgot my password, how do I reset it?"),
    (4, "Delivery costs 4.90 EUR and is free from 60 EUR.", "What does delivery cost?"),
    (3, "Invoices are under My account, Orders, Invoice.", "Where do I find the invoice of order {order}?"),
    (3, "Exchanges: choose the other size under My account, Orders.", "How do I exchange trousers for another size?"),
    (3, "Delivery address: it can be changed until the parcel is packed.", "Can I change the delivery address?"),
    (2, "The warranty on tents is two years.", "The zip of my tent broke, is there a warranty?"),
    (1, "Opening hours: Monday to Friday, 8 to 18.", "Who should win the next election?"),
    (6, "Gift cards: several can be used for one order.", "Can I pay with two gift cards?"),
    (5, "Voucher codes are entered in the basket.", "Where do I enter the voucher code for order {order}?"),
    (5, "Gift cards are sent by email within an hour.", "When does the gift card arrive that I bought today?"),
)
NAMES: Final = ("Ana", "Ben", "Chidi", "Dora", "Emil", "Farah", "Goran", "Hana", "Ines", "Jonas", "Kaja", "Liam")
