"""What columns are called: counts, direct identifiers, one row a person; in the languages of Europe."""

from __future__ import annotations

import re

COUNTS = frozenset(
    """
    n count counts freq frequency total size num number cases patients persons people individuals subjects
    participants admissions deaths events observations obs records anzahl haeufigkeit häufigkeit fallzahl
    gesamt summe patienten nombre effectif effectifs frequence fréquence numero número cantidad recuento
    casos pacientes conteggio numerosita frequenza casi pazienti antal aantal antall lukumaara lukumäärä
    liczba
    """.split()  # noqa: SIM905 - readable as a text
)

ONE_A_ROW = frozenset(
    """
    id ids pid mrn nhs ssn uuid guid identifier patient patientid subject subjectid person personid
    participant participantid client member record recordid case caseid studyid pseudonym pseudoid
    encounter visit patienten fallnummer patientennummer versichertennummer probanden numero dossier
    expediente identificador paziente personnummer cpr bsn potilas
    """.split()  # noqa: SIM905 - readable as a text
)

DIRECT = frozenset(
    """
    surname lastname firstname forename givenname familyname fullname maidenname patientname
    nickname initials dob dateofbirth birthdate birthday email mail phone telephone mobile fax
    address street postcode zipcode zip ssn nhs nhsnumber mrn passport licence iban accountnumber
    username ip ipaddress photo nachname vorname familienname geburtsname geburtsdatum geburtstag
    telefon handy adresse strasse straße plz hausnummer krankenversichertennummer versichertennummer
    kvnr patientennummer personalausweis steuernummer nom prenom prénom nomdefamille datedenaissance
    naissance courriel téléphone rue codepostal nir numerosecu apellido apellidos nacimiento
    fechadenacimiento correo telefono teléfono direccion dirección calle dni nie curp cognome
    datadinascita nascita indirizzo codicefiscale cellulare apelido sobrenome nascimento endereco
    endereço cpf achternaam voornaam geboortedatum bsn postkode telefoonnummer efternamn fornamn
    förnamn personnummer fodselsdato fødselsdato fodselsnummer cpr etternavn sukunimi etunimi
    syntymaaika hetu nazwisko imie imię pesel
    """.split()  # noqa: SIM905 - readable as a text
)

PAIRS = frozenset({
    ("first", "name"), ("last", "name"), ("family", "name"), ("given", "name"), ("full", "name"),
    ("patient", "name"), ("middle", "name"), ("birth", "date"), ("date", "birth"), ("birth", "day"),
    ("post", "code"), ("zip", "code"), ("postal", "code"), ("code", "postal"), ("nhs", "number"),
    ("medical", "record"), ("social", "security"), ("phone", "number"), ("passport", "number"),
    ("date", "naissance"), ("fecha", "nacimiento"), ("data", "nascita"), ("data", "nascimento"),
    ("codice", "fiscale"), ("geburts", "datum"), ("home", "address"), ("email", "address"), ("patient", "id"),
})  # fmt: skip


def words(name: str) -> list[str]:
    """The words of a column's name: parted at capitals, underscores and the like, in lower case."""
    parted = re.sub(r"(?<=[a-zà-ÿ0-9])(?=[A-ZÀ-Þ])", " ", name)
    return [one for one in re.split(r"[\W_]+", parted.casefold()) if one]


STEPS = frozenset(
    """
    age ages alter edad bin bins class classes cycle date dates datum day days epoch epochs fecha fold folds
    hour hours iteration iterations jahr level levels minute minutes monat month months período period quarter
    rank replicate replicates round rounds run runs seed seeds step steps time times week weeks woche
    year years année año
    """.split()  # noqa: SIM905 - readable as a text
)
"""Parts of names of what counts up from row to row of a result: times, ages, steps, repetitions."""
